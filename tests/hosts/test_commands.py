"""`quarterdeck host` and `quarterdeck base`, on a home without a running master."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from quarterdeck.core.config import Settings
from quarterdeck.hosts import commands
from quarterdeck.hosts.models import HostState, KeyState
from quarterdeck.parts import Parts
from tests.sshd import SshServer, StartSshd
from tests.worker_node import WorkerNode

Quarterdeck = Callable[..., Result]


@contextlib.contextmanager
def opened(home: Path) -> Iterator[Parts]:
    parts = Parts(Settings(home=home, ssh_connect_seconds=5))
    try:
        yield parts
    finally:
        parts.history.close()
        parts.db.close()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """The parts of the home that the commands work on, as a running master has them open."""
    with opened(tmp_path / "home") as parts:
        yield parts


@pytest.fixture
def quarterdeck(parts: Parts) -> Quarterdeck:
    """Run a command as the command line would, which opens the home anew each time."""

    def run(group: click.Group, *arguments: str, given: str = "") -> Result:
        with opened(parts.settings.home) as own:
            return CliRunner().invoke(group, arguments, obj=own, input=given)

    return run


def host_add(quarterdeck: Quarterdeck, server: SshServer, *more: str) -> Result:
    place = ("--address", "127.0.0.1", "--port", str(server.port), "--user", "root")
    key = server.keys.folder / "good"
    return quarterdeck(commands.host, "add", "web1", *place, "--key-file", str(key), "--tag", "web", *more)


def test_host_is_added_and_confirmed(parts: Parts, quarterdeck: Quarterdeck, sshd: StartSshd) -> None:
    server = sshd()
    added = host_add(quarterdeck, server)
    assert f"quarterdeck host confirm-key web1 {server.fingerprint}" in added.output
    confirmed = quarterdeck(commands.host, "confirm-key", "web1", server.fingerprint)
    assert (confirmed.exit_code, parts.hosts.get("web1").state) == (0, HostState.WELL)


def test_first_key_is_pinned_when_told_so(parts: Parts, quarterdeck: Quarterdeck, sshd: StartSshd) -> None:
    assert host_add(quarterdeck, sshd(), "--pin-first").exit_code == 0
    assert parts.hosts.get("web1").key_state is KeyState.PINNED
    assert quarterdeck(commands.host, "test", "web1").exit_code == 0


def test_password_comes_from_standard_input(parts: Parts, quarterdeck: Quarterdeck) -> None:
    place = ("--address", "127.0.0.1", "--port", "1", "--user", "root")
    added = quarterdeck(
        commands.host, "add", "web1", *place, "--password-file", "-", given="marker-password\n"
    )
    assert added.exit_code == 0
    assert "marker-password" not in added.output
    assert parts.hosts.ssh_target(parts.hosts.get("web1")).password == "marker-password"


def test_faults_are_told_by_field(quarterdeck: Quarterdeck) -> None:
    done = quarterdeck(commands.host, "add", "web1", "--address=-oProxyCommand=id", "--user", "root")
    assert done.exit_code == 1
    assert "address: This is neither a host name" in done.output


def test_failed_test_ends_with_one(quarterdeck: Quarterdeck) -> None:
    quarterdeck(commands.host, "add", "web1", "--address", "127.0.0.1", "--port", "1", "--user", "root")
    done = quarterdeck(commands.host, "test", "web1")
    assert done.exit_code == 1
    assert "connection refused" in done.output


def test_hosts_are_listed_tagged_shown_and_removed(quarterdeck: Quarterdeck) -> None:
    quarterdeck(commands.host, "add", "web1", "--address", "127.0.0.1", "--port", "1", "--user", "root")
    assert quarterdeck(commands.host, "tag", "web1", "eu", "web").exit_code == 0
    assert "root@127.0.0.1:1" in quarterdeck(commands.host, "list", "--tag", "eu").output
    assert quarterdeck(commands.host, "list", "--state", "lost").output == ""
    assert "tags       eu, web" in quarterdeck(commands.host, "show", "web1").output
    assert quarterdeck(commands.host, "remove", "web1").exit_code == 0
    assert quarterdeck(commands.host, "list").output == ""


def test_a_worker_is_revoked(parts: Parts, quarterdeck: Quarterdeck, tmp_path: Path) -> None:
    worker = WorkerNode(tmp_path / "worker").start()
    try:
        place = ("--kind", "worker", "--address", worker.url)
        quarterdeck(commands.host, "add", "w1", *place, "--token-file", "-", given=worker.token)
        assert parts.hosts.get("w1").joined
        revoked = quarterdeck(commands.host, "revoke", "w1")
        assert (revoked.exit_code, parts.hosts.get("w1").state) == (0, HostState.REVOKED)
        assert "Revoked by cli:" in revoked.output
        again = quarterdeck(commands.host, "revoke", "w1")
        assert (again.exit_code, again.output) == (1, "Error: w1 is revoked already.\n")
        assert [line["kind"] for line in worker.history() if line["action"] == "node.revoke"] == [
            "intent",
            "outcome",
        ]
    finally:
        worker.end()


def test_config_is_imported_with_its_keys(
    parts: Parts, quarterdeck: Quarterdeck, ssh_keys: object, sshd: StartSshd, tmp_path: Path
) -> None:
    key = sshd().keys.folder / "good"
    config = tmp_path / "config"
    config.write_text(f"Host a b\n User root\n HostName 127.0.0.1\n IdentityFile {key}\n")
    arguments = ("import", str(config), "--format", "openssh", "--with-keys")
    preview = quarterdeck(commands.host, *arguments, "--preview")
    assert (preview.exit_code, parts.hosts.list_hosts()) == (0, [])
    assert quarterdeck(commands.host, *arguments).output.endswith("2 hosts are imported.\n")
    assert {host.name: set(host.stored) for host in parts.hosts.list_hosts()} == {
        "a": {"private_key"},
        "b": {"private_key"},
    }


def test_import_with_a_fault_adds_nothing(parts: Parts, quarterdeck: Quarterdeck) -> None:
    done = quarterdeck(commands.host, "import", "-", given="hosts:\n- {name: a}\n")
    assert done.exit_code == 1
    assert "address: Give a host name" in done.output
    assert not parts.hosts.list_hosts()


def test_bases_are_added_listed_and_removed(parts: Parts, quarterdeck: Quarterdeck) -> None:
    url = "https://api.example.org"
    added = quarterdeck(commands.base, "add", "tickets", url, "--bearer-file", "-", given="marker\n")
    assert added.output == "tickets is https://api.example.org, with a bearer.\n"
    assert url in quarterdeck(commands.base, "list").output
    assert parts.hosts.bearer_of(parts.hosts.bases.get("tickets")) == "marker"
    assert quarterdeck(commands.base, "remove", "tickets").exit_code == 0


def test_changes_are_recorded_under_the_name_of_who_made_them(parts: Parts, quarterdeck: Quarterdeck) -> None:
    quarterdeck(commands.base, "add", "tickets", "https://api.example.org")
    line = (parts.settings.home / "history").glob("*.jsonl").__next__().read_text().splitlines()[0]
    assert '"actor":"cli:' in line
