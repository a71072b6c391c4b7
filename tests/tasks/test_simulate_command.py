"""`quarterdeck simulate`, in a process of its own."""

import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil

from quarterdeck.tasks.simulation.registration import TAG
from tests.deck import BIN, Deck, free_port, wait_until
from tests.sshd import openssh


class Simulate:
    """`quarterdeck simulate` in a process of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.port = free_port()
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("QUARTERDECK_")
        }
        self.process = subprocess.Popen(
            [BIN / "quarterdeck", "simulate", "--port", str(self.port), *arguments],
            env=environment | {"QUARTERDECK_HOME": str(home), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def answers(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[0]
        try:
            with socket.create_connection(("127.77.0.1", self.port), 1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def end(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=20)
        return self.process.returncode, said


def test_command_starts_a_fleet_that_openssh_can_use_and_ends_cleanly(tmp_path: Path) -> None:
    fleet = Simulate(tmp_path / "home", "--hosts", "12", "--latency", "5", "--slow", "0")
    wait_until(fleet.answers, "the fleet to answer", 30)
    listens = {
        each.laddr.ip
        for each in psutil.Process(fleet.process.pid).net_connections("tcp")
        if each.status == "LISTEN"
    }
    key = tmp_path / "home" / "simulation" / "client_key"
    done = openssh(key, "127.77.0.9", fleet.port, "hostname; uname -a")
    status, said = fleet.end()
    assert done.stdout.splitlines()[0] == "sim-0009"
    assert {path.stat().st_mode & 0o777 for path in (key.parents[1], key.parent)} == {0o700}
    assert listens == {f"127.77.0.{number}" for number in range(1, 13)}
    assert status == 0
    assert "12 simulated SSH hosts: 12 well" in said
    assert f"ssh -i {key}" in said
    assert said.endswith("The simulated fleet has ended.\n")
    assert "Traceback" not in said


def test_command_adds_to_a_home_and_removes(tmp_path: Path) -> None:
    home = Deck(tmp_path / "home")
    home.add_person("ada", "administrator")
    fleet = Simulate(home.home, "--hosts", "2", "--workers", "1", "--add")
    wait_until(fleet.answers, "the fleet to answer", 30)
    listed = home.cli("host", "list", "--tag", TAG).stdout
    status, said = fleet.end()
    assert status == 0
    assert "3 new hosts" in said
    assert [line.split()[0] for line in listed.splitlines()] == ["sim-0001", "sim-0002", "sim-worker-0001"]
    assert home.cli("simulate", "--remove").stdout == "3 simulated hosts are removed from the list.\n"
    assert home.cli("host", "list", "--tag", TAG).stdout == ""


def test_command_refuses_what_can_not_be(tmp_path: Path) -> None:
    home = Deck(tmp_path / "home")
    for arguments, words in (
        (("--add", "--remove"), "either --add or --remove"),
        (("--failing", "60", "--slow", "50"), "more than 100 %"),
        (("--max-startups", "10"), "such as 10:30:100"),
    ):
        done = home.cli("simulate", *arguments, check=False)
        assert done.returncode != 0
        assert words in done.stderr
