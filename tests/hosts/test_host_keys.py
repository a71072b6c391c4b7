"""Pinned host keys: a changed one is a hard stop until an administrator decides."""

import pytest

from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.forms import kept_values
from quarterdeck.hosts.keys import fingerprint_of
from quarterdeck.hosts.models import HostState, KeyState
from quarterdeck.hosts.ssh import SshError, SshTarget
from tests.deck import wait_until
from tests.hosts.factories import ADA, Node, draft, ssh_draft
from tests.sshd import SshServer, StartSshd


def reinstalled(node: Node, server: SshServer) -> str:
    """Add a host, change its key behind it, test it; returns the fingerprint that was pinned."""
    node.hosts.add_host(ADA, ssh_draft(server), confirm_key=False)
    pinned = server.fingerprint
    server.change_host_key()
    assert not node.hosts.test_host(ADA, "web1").ok
    return pinned


def test_changed_key_stops_the_host(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    pinned = reinstalled(node, server)
    host = node.hosts.get("web1")
    assert (host.key_state, host.state) == (KeyState.CHANGED, HostState.LOST)
    assert (fingerprint_of(host.host_key), fingerprint_of(host.seen_key)) == (pinned, server.fingerprint)
    with pytest.raises(SshError, match="another host key"):
        node.hosts.ssh_target(host)


def test_changed_key_is_recorded_once_with_both_fingerprints(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    pinned = reinstalled(node, server)
    node.hosts.test_host(ADA, "web1")
    [event] = node.events("host.key_changed")
    assert (event["pinned"], event["shown"]) == (pinned, server.fingerprint)


def test_new_key_counts_once_an_administrator_confirms_it(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    pinned = reinstalled(node, server)
    host = node.hosts.confirm_host_key(ADA, "web1", server.fingerprint)
    assert (host.key_state, host.host_key, host.state) == (KeyState.PINNED, server.host_key, HostState.WELL)
    assert node.records("host.confirm_key")[0]["detail"]["replaces"] == pinned


def test_old_key_can_be_kept(node: Node, sshd: StartSshd) -> None:
    pinned = reinstalled(node, sshd())
    host = node.hosts.confirm_host_key(ADA, "web1", pinned)
    # It is tried at once, and shows the other key again.
    assert (fingerprint_of(host.host_key), host.key_state) == (pinned, KeyState.CHANGED)


def test_host_behind_a_changed_jump_host_is_stopped_too(node: Node, sshd: StartSshd) -> None:
    gate, inner = sshd(), sshd()
    reinstalled(node, gate)
    node.hosts.register(ADA, ssh_draft(inner, "inner", jump="web1", host_key=inner.host_key))
    with pytest.raises(SshError, match="web1 showed another host key"):
        node.hosts.ssh_target(node.hosts.get("inner"))


def test_only_a_fingerprint_that_was_seen_can_be_confirmed(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    node.hosts.add_host(ADA, ssh_draft(server))
    with pytest.raises(Invalid, match=f"shows {server.fingerprint}".replace("+", r"\+")):
        node.hosts.confirm_host_key(ADA, "web1", "SHA256:" + "A" * 43)
    assert node.hosts.get("web1").key_state is KeyState.UNCONFIRMED


def test_key_that_nobody_saw_can_not_be_confirmed(node: Node) -> None:
    node.hosts.register(ADA, draft())
    with pytest.raises(Conflict, match="has not been seen yet"):
        node.hosts.confirm_host_key(ADA, "web1", "SHA256:x")


def test_key_of_a_host_that_was_down_is_pinned_when_it_is_first_needed(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    server.stop()
    host = node.hosts.add_host(ADA, ssh_draft(server), confirm_key=False)
    assert host.key_state is KeyState.NONE
    server.start()
    target = node.loop.run(node.hosts.ready_target(host))
    assert target.host_key == server.host_key
    assert len(node.events("host.key_pinned")) == 1


def test_looking_again_finds_the_same_key(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    node.hosts.add_host(ADA, ssh_draft(server), confirm_key=False)
    assert node.hosts.scan_host(ADA, "web1").fingerprint == server.fingerprint
    assert node.hosts.get("web1").key_state is KeyState.PINNED


def test_key_that_changed_behind_a_run_stops_the_jump_host(node: Node, sshd: StartSshd) -> None:
    gate, inner = sshd(), sshd()
    node.hosts.add_host(ADA, ssh_draft(gate, "gate"), confirm_key=False)
    node.hosts.add_host(ADA, ssh_draft(inner, "inner", jump="gate"), confirm_key=False)
    target = node.hosts.ssh_target(node.hosts.get("inner"))
    gate.change_host_key()
    node.loop.run(node.pool.forget(node.hosts.get("gate").id))
    node.loop.run(node.pool.forget(node.hosts.get("inner").id))
    with pytest.raises(SshError, match="has changed"):
        node.loop.run(_connect(node, target))
    wait_until(lambda: node.hosts.get("gate").key_state is KeyState.CHANGED, "the jump host to be stopped")
    assert [event["host"] for event in node.events("host.key_changed")] == ["gate"]


def test_edit_begun_before_a_new_key_was_confirmed_keeps_the_new_one(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    reinstalled(node, server)
    begun = HostDraft(**kept_values(node.hosts.get("web1")))
    node.hosts.confirm_host_key(ADA, "web1", server.fingerprint)
    assert node.hosts.edit_host(ADA, "web1", begun).host_key == server.host_key


async def _connect(node: Node, target: SshTarget) -> None:
    async with node.pool.session(target):
        pass
