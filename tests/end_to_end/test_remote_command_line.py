"""The same commands on a home and over --server, against one running master."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.certificates import make_certificate, tls_proxy
from tests.deck import BIN, COMMANDS, PASSWORD, Deck, running_deck, wait_until
from tests.end_to_end.visitor import add_cast
from tests.sshd import SshServer

Done = subprocess.CompletedProcess[str]
_VOLATILE = re.compile(
    r"[0-9a-z]{26}"  # ids
    r"|qd_[\w-]{43}|(?<=/link/)[\w-]{43}|(?<=--join )[0-9A-Z-]+"  # secrets
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.+]\S*)?|\d\d:\d\d(?= UTC)"  # times
    r"|in \d+ ms|in \d\.\d+ s"
)
SAME = [
    "host list",
    "host list --tag web --state well",
    "host list --kind ssh web",
    "host show web1",
    "host show worker",
    "host test web1",
    "base list",
    "alert list",
    "rule list",
    "person list",
    "token list --person oskar",
    "runs list --limit 3",
    "runs list --limit 2 --json",
    "history show --object host:web1",
    "history show --action person.add --json",
    "history show --node worker -n 3",
    "history export --action person.add",
    "history export --action person.add --format json",
    "run --host worker -- echo out; echo err >&2; exit 7",
    "run --host master --host worker -- echo both",
    "run --host worker --builtin top-memory --argument count=0",
    "toast send hello --role operator",
    "place list",
    "place test example",
    "file find example vals yaml",
    "file show example README.md",
]
"""Told alike at home and from elsewhere, whichever comes first."""
REFUSED = [
    "host show nowhere",
    "host add --address 127.0.0.1 --user root -- -bad",
    "host add bad --address -oProxyCommand=x --user -o",
    "host add web1 --address 127.0.0.1 --user root",
    "host remove nowhere",
    "host remove master",
    "host tag web1 bad/tag",
    "host confirm-key web1 SHA256:nothing",
    "host revoke web1",
    "host uninvite absent",
    "host invite web1",
    "person add ada",
    "person role nobody viewer",
    "person role ada viewer",
    "person disable ada",
    "person link nobody",
    "token create --person nobody --name t --scope read",
    "token create --person vera --name t --scope admin",
    "token create --person vera --name t --scope everything",
    "token list --person nobody",
    "token revoke absent",
    "token rotate absent",
    "grant remove absent",
    "grant add run tag:web",
    "base add b ftp://example.org",
    "base remove nowhere",
    "place add bad --kind local --url srv",
    "place add bad/name --kind cloud --project acme --repository wiki",
    "place add example --kind local --url /srv/x",
    "place remove nowhere",
    "file find nowhere x",
    "file show example nowhere",
    "file show example README.md --ref nowhere",
    "history show --since yesterday",
    "history show --node nowhere",
    "run --host nowhere -- true",
    "run --host master --force -- true",
    "runs show absent",
    "runs cancel absent",
    "runs list --state odd",
    "toast send hello --person nobody",
    "toast send hello --person vera --role viewer",
]
CHANGES = [
    ("host add {0} --address 127.0.0.9 --port 1 --user root --tag a", ""),
    ("host tag {0} b c", ""),
    ("host remove {0}", ""),
    ("host import -", "hosts:\n- {{name: {0}, address: 127.0.0.9, port: 1, username: root, tags: [ä]}}\n"),
    (
        "host import -",
        "hosts:\n- {{name: {0}, address: 127.0.0.9, port: 1, username: root}}\n- {{name: x y}}\n",
    ),
    ("host import - --tag more --preview", "hosts:\n- {{name: {0}2, address: 127.0.0.9, username: root}}\n"),
    ("host import -", "hosts:\n- {{name: {0}, address: 127.0.0.9, username: root}}\n"),
    ("host remove {0}", ""),
    ("host invite {0} --tag far", ""),
    ("host invitations", ""),
    ("silence add --host {0} --reason x", ""),
    ("silence add --tag web --reason x --for soon", ""),
    ("silence list", ""),
    ("base add {0} https://api.example.org --bearer-file -", "a-bearer\n"),
    ("base remove {0}", ""),
    ("place add {0} --kind cloud --project acme --repository wiki --token-file -", "a-good-token-123\n"),
    ("place remove {0}", ""),
    ("person add {0} --role viewer", ""),
    ("person link {0}", ""),
    ("person role {0} operator", ""),
    ("person password {0} --password-stdin", f"{PASSWORD}\n"),
    ("person password {0} --password-stdin", "short\n"),
    ("token create --person {0} --name t --scope run --expires-days 3", ""),
    ("token list --person {0}", ""),
    ("token create --person {0} --name tagged --scope run --host-tag web", ""),
    ("grant add run tag:web --person {0}", ""),
    ("grant add run host:nowhere --person {0}", ""),
    ("grant add read place:example --person {0}", ""),
    ("grant add run place:example --person {0}", ""),
    ("grant list --person {0}", ""),
    ("person add {0}-service --role viewer --service", ""),
    ("person disable {0}", ""),
    ("person enable {0}", ""),
]
"""A story that both tell, each of a name of its own."""


class Elsewhere:
    """Runs commands over the API, on a machine that has no home."""

    def __init__(self, deck: Deck, folder: Path, token: str) -> None:
        self.deck, self.folder = deck, folder
        self.token = folder / "token"
        self.token.write_text(f"{token}\n")
        self.token.chmod(0o600)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}

    def cli(self, *words: str, given: str = "", server: str = "", **environment: str) -> Done:
        return self.plain(
            "--server", server or self.deck.url, "--token-file", str(self.token), *words,
            given=given, **environment,
        )  # fmt: skip

    def plain(self, *words: str, given: str = "", **environment: str) -> Done:
        return COMMANDS.run(words, self.environment | environment, given)


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory, ssh_server: SshServer) -> Iterator[Deck]:
    home = tmp_path_factory.mktemp("deck") / "home"
    with running_deck(home, QUARTERDECK_DUPLICATE_SECONDS="0") as deck:
        deck.add_ssh_host(ssh_server, "web1", tags=["web"])
        add_cast(deck)
        deck.new_token("oskar", "run")
        deck.run(task={"kind": "command", "command": "echo first"}, hosts=["worker"])
        yield deck


@pytest.fixture(scope="module")
def elsewhere(deck: Deck, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    return Elsewhere(deck, tmp_path_factory.mktemp("elsewhere"), deck.token)


@pytest.fixture
def as_(deck: Deck, tmp_path: Path) -> Callable[[str, str], Elsewhere]:
    """Work elsewhere with a person's token of a scope."""

    def make(person: str, scope: str) -> Elsewhere:
        body = {"person": person, "scope": scope, "label": f"{scope} {os.urandom(4).hex()}"}
        made = deck.api("POST", "/api/v1/tokens", json=body)
        assert made.status_code == 201, made.text
        return Elsewhere(deck, tmp_path, made.json()["token"])

    return make


def told(done: Done, *, name: str = "") -> tuple[int, list[str], list[str]]:
    """Return what a command said, without what differs each time and who it was."""
    texts = (_VOLATILE.sub("…", text) for text in (done.stdout, done.stderr))
    out, err = (re.sub(r"cli:\w+|token:ada/admin token", "WHO", text) for text in texts)
    lines = [text.replace(name, "NAME") if name else text for text in (out, err)]
    return done.returncode, lines[0].splitlines(), lines[1].splitlines()


def split(line: str) -> list[str]:
    """Part a line of a table; what follows -- is one command."""
    head, dashes, command = line.partition(" -- ")
    return [*head.split(), "--", command] if dashes else head.split()


@pytest.mark.parametrize("line", SAME)
def test_what_is_read_or_run_is_told_alike(line: str, deck: Deck, elsewhere: Elsewhere) -> None:
    here = deck.cli(*split(line), check=False)
    there = elsewhere.cli(*split(line))
    assert "Traceback" not in there.stderr
    if line.startswith("runs list"):  # a run of another test may have come between
        assert (there.returncode, bool(there.stdout)) == (here.returncode, True)
        return
    if line.startswith("run "):  # hosts end in any order
        assert [sorted(map(str, part)) for part in told(there)[1:]] == [
            sorted(part) for part in told(here)[1:]
        ]
        assert there.returncode == here.returncode
        return
    assert told(there) == told(here)


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused_is_told_alike(line: str, deck: Deck, elsewhere: Elsewhere) -> None:
    here, there = deck.cli(*split(line), check=False), elsewhere.cli(*split(line))
    assert here.returncode == 1, here.stdout
    assert told(there) == told(here)


def test_a_story_of_changes_is_told_alike(deck: Deck, elsewhere: Elsewhere) -> None:
    for line, given in CHANGES:
        words = [deck.cli(*line.format("home1").split(), given=given.format("home1"), check=False)]
        words.append(elsewhere.cli(*line.format("away1").split(), given=given.format("away1")))
        if line == "host invitations":
            assert all(re.search(r"(home|away)1 .* until", done.stdout) for done in words)
            continue
        here, there = words
        assert told(there, name="away1") == told(here, name="home1"), line
    entries = deck.api("GET", "/api/v1/history?object=person:away1").json()["entries"]
    assert {entry["actor"] for entry in entries} == {"token:ada/admin token"}


def test_a_host_is_added_compared_and_confirmed_with_a_key_of_this_machine(
    elsewhere: Elsewhere, ssh_server: SshServer
) -> None:
    place = ("--address", ssh_server.addresses[2], "--port", str(ssh_server.port), "--user", "root")
    added = elsewhere.cli("host", "add", "far1", *place, "--key-file", "-", given=ssh_server.keys.good)
    confirm = f"quarterdeck host confirm-key far1 {ssh_server.fingerprint}"
    assert confirm in added.stdout, added.stderr
    assert confirm in elsewhere.cli("host", "show", "far1").stdout
    confirmed = elsewhere.cli("host", "confirm-key", "far1", ssh_server.fingerprint)
    assert f"host key   pinned {ssh_server.fingerprint}" in confirmed.stdout
    assert "signed in as root" in elsewhere.cli("host", "test", "far1").stdout
    assert elsewhere.cli("run", "--host", "far1", "--", "echo far").stdout == "far\n"
    assert elsewhere.cli("host", "remove", "far1").returncode == 0


def test_a_host_is_silenced_from_elsewhere_and_the_silence_ended(deck: Deck, elsewhere: Elsewhere) -> None:
    added = elsewhere.cli("silence", "add", "--host", "master", "--for", "30 min", "--reason", "a try")
    silence_id = added.stdout.split()[-1]
    assert deck.api("GET", "/api/v1/hosts/master").json()["silenced_until"]
    assert silence_id in deck.cli("silence", "list").stdout
    assert elsewhere.cli("silence", "end", silence_id).stdout == "The silence of host:master is over.\n"
    assert elsewhere.cli("silence", "list").stdout == ""


def test_a_file_is_changed_from_elsewhere(deck: Deck, elsewhere: Elsewhere) -> None:
    begun = elsewhere.cli("change", "begin", "example", "made/far.txt", "--action", "new")
    change = begun.stdout.strip()
    saved = elsewhere.cli("change", "put", change, "made/far.txt", given="far\n")
    assert saved.stderr == "made/far.txt is saved.\n"
    assert "+far\n" in elsewhere.cli("change", "show", change).stdout
    assert elsewhere.cli("change", "list").stdout == deck.cli("change", "list").stdout
    commit = elsewhere.cli("change", "commit", change, "-m", "From far").stdout.strip()
    assert commit == deck.api("GET", f"/api/v1/changes/{change}").json()["tip"]
    refused = elsewhere.cli("change", "propose", change, "--title", "From far")
    assert (refused.returncode, "no pull requests" in refused.stderr) == (1, True)
    assert elsewhere.cli("change", "merge", change).returncode == 0
    assert elsewhere.cli("file", "show", "example", "made/far.txt").stdout == "far\n"
    other = elsewhere.cli("change", "begin", "example", "made/far.txt").stdout.strip()
    assert elsewhere.cli("change", "discard", other).returncode == 0
    listed = elsewhere.cli("change", "list", "--state", "all").stdout
    assert listed == deck.cli("change", "list", "--state", "all").stdout


def test_an_invitation_is_taken_back_and_a_token_revoked(deck: Deck, elsewhere: Elsewhere) -> None:
    elsewhere.cli("host", "invite", "back1")
    (line,) = (each for each in elsewhere.cli("host", "invitations").stdout.splitlines() if "back1" in each)
    assert (
        elsewhere.cli("host", "uninvite", line.split()[0]).stdout == "The code is worth nothing any more.\n"
    )
    made = elsewhere.cli("token", "create", "--person", "vera", "--name", "gone", "--scope", "read")
    (line,) = (each for each in elsewhere.cli("token", "list").stdout.splitlines() if "\tgone\t" in each)
    rotated = elsewhere.cli("token", "rotate", line.split("\t")[0], "--overlap-hours", "0")
    assert rotated.stdout.startswith("qd_"), rotated.stderr
    (line,) = (each for each in elsewhere.cli("token", "list").stdout.splitlines() if "\tgone\t" in each)
    made = rotated
    assert elsewhere.cli("token", "revoke", line.split("\t")[0]).returncode == 0
    own = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert deck.api("GET", "/api/v1/me", headers=own).status_code == 401
    elsewhere.cli("grant", "add", "read", "tag:web", "--group", "ops")
    (line,) = elsewhere.cli("grant", "list", "--group", "ops").stdout.splitlines()
    taken = elsewhere.cli("grant", "remove", line.split("\t")[0])
    assert taken.stderr == "group:ops has read on tag:web no more.\n"


def test_the_history_is_proved_over_the_api(elsewhere: Elsewhere) -> None:
    done = elsewhere.cli("history", "verify", "--with-workers")
    assert re.fullmatch(r"master: whole: .*\nworker: whole: .*\n", done.stdout), done.stderr
    assert done.returncode == 0


def test_a_run_is_shown_followed_and_its_output_printed(deck: Deck, elsewhere: Elsewhere) -> None:
    command = {"kind": "command", "command": "echo first; sleep 1; printf last; echo err >&2"}
    run = deck.api("POST", "/api/v1/runs", json={"task": command, "hosts": ["worker"]}).json()["id"]
    followed = elsewhere.cli("runs", "output", run, "--follow")
    assert (followed.stdout, followed.stderr) == ("first\nlast", "err\n")
    assert elsewhere.cli("runs", "output", run, "--stream", "err").stdout == "err\n"
    for words in (["show", run], ["show", run, "--json"], ["output", run, "--host", "worker"]):
        assert elsewhere.cli("runs", *words).stdout == deck.cli("runs", *words).stdout


def test_ctrl_c_cancels_the_run_there(deck: Deck, elsewhere: Elsewhere) -> None:
    where = ["--server", deck.url, "--token-file", str(elsewhere.token)]
    command: list[str | Path] = [BIN / "quarterdeck", *where, "run", "--host", "worker", "--"]
    process = subprocess.Popen(
        [*command, "echo begun; sleep 302"], env=elsewhere.environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        # Where the tests run in the background of a shell, they inherit an interrupt that is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Cancelling run" in said) == (130, True)
    run = deck.api("GET", "/api/v1/runs?q=sleep+302").json()["runs"][0]
    assert "cancelled" in elsewhere.cli("runs", "cancel", run["id"]).stdout + deck.cli("runs", "list").stdout
    wait_until(lambda: deck.api("GET", f"/api/v1/runs/{run['id']}").json()["state"] == "cancelled", "its end")


def test_the_settings_name_the_master_as_well(deck: Deck, elsewhere: Elsewhere, tmp_path: Path) -> None:
    named = {"QUARTERDECK_SERVER": deck.url, "QUARTERDECK_TOKEN_FILE": str(elsewhere.token)}
    assert "web1" in elsewhere.plain("host", "list", **named).stdout
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in named.items())
    (tmp_path / "quarterdeck.toml").write_text(text)
    assert "web1" in elsewhere.plain("host", "list", QUARTERDECK_HOME=str(tmp_path)).stdout
    assert [path.name for path in tmp_path.iterdir()] == ["quarterdeck.toml"]
    by_hand = elsewhere.plain("--home", str(deck.home), "history", "rebuild", **named)
    assert by_hand.returncode == 0, by_hand.stderr


def test_the_token_may_be_a_line_of_standard_input_before_the_password(
    deck: Deck, elsewhere: Elsewhere
) -> None:
    words = ["person", "add", "typed", "--password-stdin"]
    done = elsewhere.plain(
        "--server", deck.url, "--token-file", "-", *words, given=f"{deck.token}\n{PASSWORD}\n"
    )
    assert (done.returncode, done.stderr) == (0, "Added typed (no role).\n")


def test_a_token_file_counts_at_home_too(deck: Deck, as_: Callable[[str, str], Elsewhere]) -> None:
    vera = as_("vera", "read")
    done = deck.cli("--token-file", str(vera.token), "host", "list")
    assert "web1" in done.stdout
    refused = deck.cli("--token-file", str(vera.token), "host", "remove", "web1", check=False)
    assert "You may not do this (host.write)" in refused.stderr


@pytest.mark.parametrize(
    ("person", "scope", "line", "verb"),
    [
        ("vera", "read", "run --host worker -- true", "run.start"),
        ("vera", "read", "host remove web1", "host.write"),
        ("ada", "read", "host test web1", "host.test"),
        ("ada", "hosts:read", "runs list", "run.read"),
        ("ada", "write", "person list", "person.read"),
        ("ada", "run", "history verify", "history.verify"),
        ("oskar", "run", "base list", ""),
        ("oskar", "run", "toast send hello --person vera", ""),
        ("ada", "hosts:read runs:run", "run --host worker -- true", ""),
    ],
)
def test_a_token_does_what_its_scope_and_person_allow(
    person: str, scope: str, line: str, verb: str, as_: Callable[[str, str], Elsewhere]
) -> None:
    done = as_(person, scope).cli(*split(line))
    if not verb:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: You may not do this ({verb}). "), done.stderr
    assert "its scope and the role of its person" in done.stderr


def test_a_revoked_token_is_refused_with_what_to_do(elsewhere: Elsewhere, tmp_path: Path) -> None:
    other = Elsewhere(elsewhere.deck, tmp_path, "qd_" + "x" * 43)
    done = other.cli("host", "list")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {elsewhere.deck.url} does not accept the token. This token is not")
    assert "`quarterdeck token create`" in done.stderr
    assert "x" * 43 not in done.stderr


def test_tls_needs_a_pin_or_an_authority(deck: Deck, elsewhere: Elsewhere, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "deck.pem")
    pin = f"SHA256:{certificate.fingerprint}"
    with tls_proxy(deck.port, certificate) as proxy:
        unknown = elsewhere.cli("host", "list", server=proxy.url)
        assert "shows a certificate that nobody here vouches for" in unknown.stderr
        wrong = elsewhere.cli("--pin", "SHA256:" + "0" * 64, "host", "list", server=proxy.url)
        assert f"showed another certificate than the pinned one: {pin}" in wrong.stderr
        assert deck.token.encode() not in proxy.received
        assert (unknown.returncode, wrong.returncode) == (1, 1)
        assert "web1" in elsewhere.cli("--pin", pin, "host", "list", server=proxy.url).stdout
        assert "web1" in elsewhere.cli("host", "list", server=proxy.url, QUARTERDECK_SERVER_PIN=pin).stdout
        vouched = elsewhere.cli("--ca-file", str(certificate.path), "host", "list", server=proxy.url)
        assert "web1" in vouched.stdout, vouched.stderr
        both = elsewhere.cli("--ca-file", "x", "--pin", pin, "host", "list", server=proxy.url)
        assert both.stderr.startswith("Error: pin: Give a pin or authorities, not both")
        plain = elsewhere.cli("--pin", pin, "host", "list")
        assert plain.stderr == "Error: server: A pin or authorities need an https address.\n"
