"""The quarterdeck command beside a running master, and on the home of one that is stopped."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deck import BIN, PASSWORD, Deck, running_deck
from tests.end_to_end.visitor import Visitor
from tests.sshd import SshServer

COMMANDS = {
    "up": ["worker", "Ctrl-C"],
    "master": ["master"],
    "worker": ["worker", "orders"],
    "host": ["add", "list", "show", "test", "confirm-key", "tag", "remove", "import"],
    "host add": ["--address", "--user", "--key-file", "--password-file", "--token-file", "--jump"],
    "host import": ["--format", "--preview", "OpenSSH", "YAML"],
    "base": ["add", "list", "remove"],
    "base add": ["NAME", "URL", "--bearer-file"],
    "person": ["add", "role", "disable", "enable", "password", "link"],
    "person add": ["--role", "--password-stdin"],
    "token": ["create", "list", "revoke"],
    "token create": ["--person", "--scope", "--expires-days"],
    "history": ["show", "verify", "rebuild", "export"],
    "history show": ["--actor", "--since", "--node", "--json"],
    "history verify": ["--with-workers", "exit 1"],
    "history export": ["--format", "--output"],
    "run": ["--host", "--tag"],
    "runs": ["list", "show", "cancel"],
    "toast": ["send"],
}
WRONG = [
    ["nowhere"],
    ["--nowhere"],
    ["host", "nowhere"],
    ["host", "add"],
    ["host", "add", "web1"],
    ["host", "add", "web1", "--address", "127.0.0.1", "--kind", "ftp"],
    ["host", "add", "web1", "--address", "127.0.0.1", "--port", "many"],
    ["host", "add", "web1", "--address", "127.0.0.1", "--key-file", "/no/such/file"],
    ["person", "add", "bob", "--role", "king"],
    ["token", "create", "--person", "ada", "--name", "t", "--scope", "read", "--expires-days", "0"],
    ["history", "show", "-n", "0"],
    ["history", "export", "--format", "xml"],
    ["run"],
]
REFUSED = {
    "host show nowhere": "nowhere",
    "host add --address 127.0.0.1 --user root -- -bad": "name: ",
    "host add bad --address -oProxyCommand=x --user -o": "address: ",
    "host remove nowhere": "nowhere",
    "person role nobody viewer": "no person",
    "person add ada": "ada",
    "token create --person nobody --name t --scope read": "no person",
    "token create --person ada --name t --scope everything": "is not a scope",
    "token revoke absent": "token",
    "base add b ftp://example.org": "https://",
    "base remove nowhere": "nowhere",
    "history show --since yesterday": "since",
    "history show --node nowhere": "nowhere",
    "run --host nowhere -- true": "nowhere",
    "runs show absent": "run",
    "toast send hello --person nobody": "person",
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    """A deck whose processes have ended; its home is left."""
    with running_deck(tmp_path_factory.mktemp("stopped") / "home") as deck:
        deck.run(task={"kind": "command", "command": "echo before the end"}, hosts=["master"])
        assert deck.stop() == 0
        yield deck


@pytest.fixture(scope="module")
def helps(deck: Deck) -> dict[str, str]:
    """The help of every command."""
    return {command: deck.cli(*command.split(), "--help").stdout for command in COMMANDS}


def test_the_help_is_enough_to_begin_with(deck: Deck) -> None:
    text = deck.cli("--help").stdout
    for word in ("quarterdeck up", "person add", "host add", "run --host", "history verify", "--home"):
        assert word in text
    assert all(re.search(rf"^  {name} ", text, re.M) for name in COMMANDS if " " not in name)
    assert deck.cli("-h").stdout == text
    assert deck.cli("--version").stdout.startswith("quarterdeck")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_names_what_it_takes(helps: dict[str, str], command: str) -> None:
    assert f"Usage: quarterdeck {command}" in helps[command]
    assert [word for word in COMMANDS[command] if word not in helps[command]] == []


def test_wrong_usage_ends_with_2_and_a_clear_line(deck: Deck) -> None:
    for arguments in WRONG:
        done = deck.cli(*arguments, check=False)
        assert done.returncode == 2, (arguments, done.stdout, done.stderr)
        assert re.search(r"^(Error: |Usage: )", done.stderr, re.M), (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_what_is_refused_ends_with_1_and_says_why(deck: Deck) -> None:
    for arguments in map(str.split, REFUSED):
        done = deck.cli(*arguments, check=False)
        assert done.returncode == 1, (arguments, done.stdout, done.stderr)
        assert REFUSED[" ".join(arguments)] in done.stderr, (arguments, done.stderr)
        assert "Traceback" not in done.stderr


def test_a_fault_that_the_master_finds_is_told_by_its_field_once(deck: Deck) -> None:
    done = deck.cli("run", "--host", "nowhere", "--", "true", check=False)
    assert done.stderr == "Error: hosts: There is no host named “nowhere”.\n"
    done = deck.cli("runs", "list", "--state", "odd", check=False)
    assert done.stderr.startswith("Error: state: Use one of active, queued, "), done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["host", "import"],
        ["host", "add", "bad", "--address", "a.example.org", "--user", "root", "--key-file"],
        ["base", "add", "bad", "https://a.example.org", "--bearer-file"],
    ],
    ids=" ".join,
)
def test_a_file_that_is_no_text_is_refused_and_said_so(
    deck: Deck, tmp_path: Path, arguments: list[str]
) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x7fELF\xd0\xff")
    done = deck.cli(*arguments, str(binary), check=False)
    assert (done.returncode, "no text in UTF-8" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr


def test_the_import_of_the_readme_works(deck: Deck, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    line = re.search(r"^quarterdeck (host import) ~/.ssh/config(.*)$", readme, re.M)
    assert line
    config = tmp_path / "config"
    config.write_text("Host readme-1\n  HostName 127.0.0.9\n  User root\n")
    done = deck.cli(*line[1].split(), str(config), *line[2].split())
    assert done.stdout.endswith("1 host is imported.\n")
    deck.cli("host", "remove", "readme-1")


def test_no_option_takes_a_secret_as_its_value(helps: dict[str, str]) -> None:
    for text in helps.values():
        options = re.findall(r"--(?:[\w-]*)(?:password|secret|token|key|passphrase|bearer)[\w-]*", text)
        harmless = {"--password-stdin", "--with-keys"}
        assert all(option.endswith("-file") for option in set(options) - harmless), options


@pytest.mark.parametrize("where", ["deck", "stopped"])
def test_people_and_tokens(where: str, request: pytest.FixtureRequest) -> None:
    deck: Deck = request.getfixturevalue(where)
    link = deck.cli("person", "add", "bob", "--role", "viewer").stdout.strip()
    assert link.startswith(f"{deck.url}/sign-in/link/")
    deck.cli("person", "password", "bob", "--password-stdin", given=PASSWORD)
    deck.cli("person", "role", "bob", "operator")
    token = deck.new_token("bob", "run")
    assert token.startswith("qd_")
    (line,) = (line for line in deck.cli("token", "list", "--person", "bob").stdout.splitlines())
    assert token not in line
    deck.cli("token", "revoke", line.split("\t")[0])
    assert deck.cli("token", "list", "--person", "bob").stdout == ""
    deck.cli("person", "disable", "bob")
    assert re.search(r"^bob\toperator\tdisabled\t", deck.cli("person", "list").stdout, re.M)


def test_a_running_master_obeys_at_once_what_the_command_line_changed(deck: Deck) -> None:
    deck.cli("person", "add", "cara", "--role", "viewer", "--password-stdin", given=PASSWORD)
    token = deck.new_token("cara", "read")
    own = {"Authorization": f"Bearer {token}"}
    assert deck.api("GET", "/api/v1/hosts", headers=own).status_code == 200
    with Visitor(deck, "127.0.0.31") as cara:
        assert cara.sign_in("cara").status_code == 303
    actors = {e["actor"] for e in deck.api("GET", "/api/v1/history?object=person:cara").json()["entries"]}
    assert any(actor.startswith("cli:") for actor in actors)


@pytest.mark.parametrize("where", ["deck", "stopped"])
def test_hosts_and_bases(
    where: str, request: pytest.FixtureRequest, ssh_server: SshServer, tmp_path: Path
) -> None:
    deck: Deck = request.getfixturevalue(where)
    place = ("--address", ssh_server.addresses[1], "--port", str(ssh_server.port), "--user", "root")
    added = deck.cli(
        "host", "add", "by-cli", *place, "--key-file", "-", "--tag", "cli", given=ssh_server.keys.good
    )
    assert f"quarterdeck host confirm-key by-cli {ssh_server.fingerprint}" in added.stdout
    assert deck.cli("host", "test", "by-cli", check=False).returncode == 1
    deck.cli("host", "confirm-key", "by-cli", ssh_server.fingerprint)
    assert "signed in as root" in deck.cli("host", "test", "by-cli").stdout
    assert "by-cli" in deck.cli("host", "list", "--tag", "cli").stdout
    assert "private_key" in deck.cli("host", "show", "by-cli").stdout
    deck.cli("host", "remove", "by-cli")
    bearer = tmp_path / "bearer"
    bearer.write_text("a-bearer-of-the-base\n")
    deck.cli("base", "add", "by-cli", "https://api.example.org", "--bearer-file", str(bearer))
    assert re.search(r"^by-cli +https://api.example.org  \(bearer\)$", deck.cli("base", "list").stdout, re.M)
    deck.cli("base", "remove", "by-cli")


@pytest.mark.parametrize("where", ["deck", "stopped"])
def test_the_history(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    deck: Deck = request.getfixturevalue(where)
    assert "person.add" in deck.cli("history", "show", "--action", "person.add").stdout
    lines = deck.cli("history", "show", "--json", "-n", "3").stdout.splitlines()
    assert [set(json.loads(line)) >= {"seq", "hash", "prev"} for line in lines] == [True] * 3
    exported = tmp_path / "history.csv"
    deck.cli("history", "export", "--output", str(exported))
    assert exported.read_text().count("\n") > 5
    assert re.match(r"master: whole: [\d,]+ lines", deck.cli("history", "verify").stdout)
    deck.cli("history", "rebuild")


def test_the_history_of_a_worker_that_is_down_is_said_to_be_unproved(stopped: Deck) -> None:
    done = stopped.cli("history", "verify", "--with-workers", check=False)
    assert done.returncode == 1
    assert "worker: could not be asked" in done.stdout


def test_runs_need_the_master_and_say_so(deck: Deck, stopped: Deck) -> None:
    done = deck.cli("run", "--host", "master", "--", "echo by the command line; exit 4", check=False)
    assert (done.stdout, done.returncode) == ("by the command line\n", 4)
    assert "echo by the command line" in deck.cli("runs", "list").stdout
    refused = stopped.cli("run", "--host", "master", "--", "true", check=False)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert re.search(r"(?i)master.*(not running|does not answer|start)", refused.stderr), refused.stderr


def test_the_output_of_a_run_is_printed_whole_by_host_and_by_stream(deck: Deck) -> None:
    command = {"kind": "command", "command": "printf 'no end'; echo wrong >&2"}
    run = deck.run(task=command, hosts=["master", "worker"])["id"]
    whole = deck.cli("runs", "output", run)
    assert sorted(whole.stdout.splitlines()) == ["master | no end", "worker | no end"]
    assert sorted(whole.stderr.splitlines()) == ["master | wrong", "worker | wrong"]
    one = deck.cli("runs", "output", run, "--host", "worker")
    assert (one.stdout, one.stderr) == ("no end", "wrong\n")
    assert deck.cli("runs", "output", run, "--host", "worker", "--stream", "err").stdout == "wrong\n"
    assert deck.cli("runs", "output", run, "--stream", "err", check=False).returncode == 2


def test_one_host_of_a_run_is_followed_to_the_end(deck: Deck) -> None:
    command = {"kind": "command", "command": "echo first; sleep 1; echo last"}
    body = {"task": command, "hosts": ["master", "worker"]}
    run = deck.api("POST", "/api/v1/runs", json=body).json()["id"]
    followed = deck.cli("runs", "output", run, "--host", "worker", "--follow")
    assert followed.stdout == "first\nlast\n"


def test_a_toast_reaches_whom_it_is_for(deck: Deck) -> None:
    deck.cli("toast", "send", "hello from the command line", "--role", "administrator")
    texts = [toast["text"] for toast in deck.api("GET", "/api/v1/toasts").json()["toasts"]]
    assert "hello from the command line" in texts


def test_a_home_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environment = {"PATH": os.environ["PATH"]}
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        done = subprocess.run(
            [BIN / "quarterdeck", "--home", home, "person", "list"],
            env=environment, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode in (1, 2)
        assert str(tmp_path / "file") in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    ["person list", "host list", "history show", "token list", "toast send hello", "simulate --add"],
)
def test_a_mistyped_home_is_refused_and_not_made(tmp_path: Path, command: str) -> None:
    fresh = Deck(tmp_path / "mistyped")
    done = fresh.cli(*command.split(), check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: There is no home of a master in {fresh.home}. "), done.stderr
    assert f"`quarterdeck --home {fresh.home} up` makes one" in done.stderr
    assert not fresh.home.exists()


def test_the_first_person_may_be_added_to_a_new_home(tmp_path: Path) -> None:
    fresh = Deck(tmp_path / "fresh")
    fresh.add_person("ada", "administrator")
    assert fresh.cli("person", "list").stdout.startswith("ada\tadministrator\tactive")


def test_the_home_of_a_worker_is_not_taken_for_one_of_a_master(deck: Deck) -> None:
    done = deck.cli("--home", str(deck.home / "worker"), "person", "list", check=False)
    assert "There is no home of a master in" in done.stderr
