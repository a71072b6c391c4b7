"""``quarterdeck run`` and ``quarterdeck runs`` against a master that really runs."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deck import BIN, Deck, running_deck, wait_until
from tests.sshd import StartSshd
from tests.tasks.kept_factories import keeping_sshd


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    with running_deck(tmp_path_factory.mktemp("deck") / "home") as deck:
        yield deck


def test_output_streams_stay_apart_and_the_status_is_the_remote_one(deck: Deck) -> None:
    done = deck.cli("run", "--host", "master", "--", "echo out; echo err >&2; exit 7", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_lines_of_several_hosts_say_whose_they_are(deck: Deck) -> None:
    done = deck.cli("run", "--host", "master", "--host", "worker", "--", "echo hello; printf rest")
    assert sorted(done.stdout.splitlines()) == [
        "master | hello",
        "master | rest",
        "worker | hello",
        "worker | rest",
    ]


def test_a_host_that_fails_among_several_is_named(deck: Deck) -> None:
    done = deck.cli("run", "--host", "master", "--host", "worker", "--", "exit 5", check=False)
    assert done.returncode == 1
    assert "master failed with exit status 5" in done.stderr


def test_a_builtin_takes_its_arguments(deck: Deck) -> None:
    done = deck.cli("run", "--host", "worker", "--builtin", "top-memory", "--argument", "count=3")
    assert len(done.stdout.splitlines()) == 4


def test_json_is_the_ended_run(deck: Deck) -> None:
    done = deck.cli("run", "--host", "master", "--json", "--", "echo json")
    run = json.loads(done.stdout)
    assert (run["state"], run["hosts"][0]["out_bytes"]) == ("succeeded", 5)
    assert "json" in deck.cli("runs", "output", run["id"]).stdout
    assert "succeeded" in deck.cli("runs", "show", run["id"]).stdout
    assert run["id"] in deck.cli("runs", "list", "--search", "echo json").stdout


def test_the_same_again_says_how_to_join_and_how_to_force(deck: Deck) -> None:
    body = {"task": {"kind": "command", "command": "sleep 60"}, "hosts": ["master"]}
    first = deck.api("POST", "/api/v1/runs", json=body).json()
    again = deck.cli("run", "--host", "master", "--", "sleep 60", check=False)
    assert again.returncode == 1
    assert f"quarterdeck runs output {first['id']} --follow" in again.stderr
    assert "--force --reason" in again.stderr
    cancelled = deck.cli("runs", "cancel", first["id"])
    assert "cancelled" in cancelled.stdout
    assert "proved gone" in cancelled.stdout


def test_ctrl_c_cancels_the_run(deck: Deck) -> None:
    command: list[str | Path] = [
        BIN / "quarterdeck",
        "run",
        "--host",
        "master",
        "--",
        "echo begun; sleep 301",
    ]
    process = subprocess.Popen(
        command, env=deck.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Cancelling run" in told
    (run,) = deck.api("GET", "/api/v1/runs?q=sleep+301").json()["runs"]
    wait_until(lambda: deck.api("GET", f"/api/v1/runs/{run['id']}").json()["state"] == "cancelled", "its end")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--host", "nobody", "--", "true"), "There is no host named"),
        (("--", "true"), "Choose at least one host or tag"),
        (("--host", "master"), "Give either a command after -- or --builtin"),
        (("--host", "master", "--force", "--", "true"), "reason"),
    ],
)
def test_mistakes_are_told(deck: Deck, arguments: tuple[str, ...], told: str) -> None:
    done = deck.cli("run", *arguments, check=False)
    assert done.returncode != 0
    assert told in done.stderr


def test_without_a_master_it_says_how_to_start_one(tmp_path: Path) -> None:
    fresh = Deck(tmp_path / "fresh")
    done = fresh.cli("run", "--host", "master", "--", "true", check=False)
    assert done.returncode == 1
    assert "No master has been started" in done.stderr


def test_keep_lets_a_command_go_on_over_a_kill_of_the_master(
    sshd: StartSshd, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    server = keeping_sshd(sshd, tmp_path / "state")
    with running_deck(tmp_path_factory.mktemp("deck") / "home") as deck:
        deck.add_ssh_host(server, "web1")
        command = f"echo one; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo two; exit 4"
        arguments = ["run", "--host", "web1", "--keep", "--", command]
        client = subprocess.Popen([BIN / "quarterdeck", *arguments], env=deck.environment)
        wait_until(lambda: '"running"' in deck.api("GET", "/api/v1/runs").text, "the run to begin")
        deck.kill()
        client.wait(30)
        (tmp_path / "go").touch()
        deck.start()
        (run,) = deck.api("GET", "/api/v1/runs").json()["runs"]
        ended = deck.api("GET", f"/api/v1/runs/{run['id']}?wait=30").json()
        assert (ended["options"], ended["hosts"][0]["exit_status"]) == ({"keep_running": True}, 4)
        assert deck.api("GET", f"/api/v1/runs/{run['id']}/output").text == "one\ntwo\n"
