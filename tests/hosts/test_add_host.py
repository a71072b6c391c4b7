"""Adding hosts: first contact, pinning, and what is refused."""

import asyncssh
import pytest

from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind, HostState, KeyState
from tests.hosts.factories import ADA, Node, draft, ssh_draft
from tests.sshd import StartSshd


def test_host_waits_for_its_key_to_be_confirmed(node: Node, sshd: StartSshd) -> None:
    host = node.hosts.add_host(ADA, ssh_draft(sshd()))
    assert (host.key_state, host.state) == (KeyState.UNCONFIRMED, HostState.UNKNOWN)


def test_confirmed_host_is_well_at_once(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    node.hosts.add_host(ADA, ssh_draft(server))
    host = node.hosts.confirm_host_key(ADA, "web1", server.fingerprint)
    assert (host.key_state, host.host_key, host.state) == (KeyState.PINNED, server.host_key, HostState.WELL)
    assert host.version.startswith("OpenSSH")
    assert host.last_seen == node.clock.now()


def test_first_key_is_pinned_where_that_was_asked(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    host = node.hosts.add_host(ADA, ssh_draft(server), confirm_key=False)
    assert (host.key_state, host.state) == (KeyState.PINNED, HostState.WELL)
    assert node.events("host.key_pinned") == [
        {"host": "web1", "fingerprint": server.fingerprint, "algorithm": "ssh-ed25519"}
    ]


def test_given_key_is_pinned_before_any_contact(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    host = node.hosts.add_host(ADA, ssh_draft(server, host_key=f"web1 {server.host_key} comment"))
    assert (host.key_state, host.state) == (KeyState.PINNED, HostState.WELL)


def test_host_that_is_down_is_added_with_the_reason(node: Node) -> None:
    host = node.hosts.add_host(ADA, draft())
    assert (host.state, host.key_state) == (HostState.UNKNOWN, KeyState.NONE)
    assert "refused" in host.state_reason


def test_adding_is_recorded_without_secrets(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    node.hosts.add_host(ADA, ssh_draft(server, tags=("web",)))
    intent, outcome = node.records("host.add")
    assert (intent["actor"], intent["object"], outcome["pair"]) == ("ada", "host:web1", intent["id"])
    assert intent["detail"]["secrets"] == ["private_key"]
    assert server.keys.good.splitlines()[2].encode() not in node.everything_stored()


@pytest.mark.parametrize(
    "bad",
    ["-oProxyCommand=id", "a b", "a\nb", "a'b", 'a"b', "a%b", "", "a\x00b", "a`b", "ä", "a/b", "a\u2028b"],
)
@pytest.mark.parametrize("field", ["name", "address", "username"])
def test_hostile_names_are_refused_beside_their_field(node: Node, field: str, bad: str) -> None:
    with pytest.raises(Invalid) as refusal:
        node.hosts.add_host(ADA, draft(**{"name": "web1", field: bad}))
    assert list(refusal.value.fields) == [field]
    assert not node.records()


@pytest.mark.parametrize(
    ("address", "normal"),
    [
        ("Web1.Example.ORG", "web1.example.org"),
        ("10.0.0.5", "10.0.0.5"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("::1", "::1"),
        ("a-b_c.example", "a-b_c.example"),
    ],
)
def test_addresses_are_kept_in_their_normal_form(node: Node, address: str, normal: str) -> None:
    assert node.hosts.register(ADA, draft(address=address)).address == normal


@pytest.mark.parametrize(
    "address", ["256.1.1.1", "1.2.3", "01.2.3.4", "fe80::1%eth0", "a..b", "-a", "a-", "x" * 300, "::g"]
)
def test_what_is_no_address_is_refused(node: Node, address: str) -> None:
    with pytest.raises(Invalid) as refusal:
        node.hosts.register(ADA, draft(address=address))
    assert list(refusal.value.fields) == ["address"]


def test_all_faults_are_told_at_once(node: Node) -> None:
    with pytest.raises(Invalid) as refusal:
        node.hosts.register(ADA, draft(name="-", address="", username="-x", port=70000, tags=("a b",)))
    assert set(refusal.value.fields) == {"name", "address", "username", "port", "tags"}


def test_name_in_use_is_a_conflict_whatever_its_case(node: Node) -> None:
    node.hosts.register(ADA, draft("web1"))
    with pytest.raises(Conflict, match="already a host named “web1”") as clash:
        node.hosts.register(ADA, draft("WEB1"))
    assert list(clash.value.extra["errors"]) == ["name"]


@pytest.mark.parametrize("name", ["new", "import", "Rows"])
def test_names_of_pages_are_refused(node: Node, name: str) -> None:
    with pytest.raises(Invalid, match="page of Quarterdeck"):
        node.hosts.register(ADA, draft(name))


def test_private_key_must_be_readable(node: Node) -> None:
    with pytest.raises(Invalid, match="can't be read as a private key"):
        node.hosts.register(ADA, draft(secrets={"private_key": "not a key"}))


def test_public_half_is_told_from_the_private_key(node: Node) -> None:
    public = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(Invalid, match="public half"):
        node.hosts.register(ADA, draft(secrets={"private_key": public}))


@pytest.mark.parametrize(("passphrase", "message"), [("", "is encrypted"), ("wrong", "does not open")])
def test_locked_key_needs_its_passphrase(node: Node, passphrase: str, message: str) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key(passphrase="right").decode()
    with pytest.raises(Invalid, match=message) as refusal:
        node.hosts.register(ADA, draft(secrets={"private_key": key, "passphrase": passphrase}))
    assert list(refusal.value.fields) == ["passphrase"]


def test_host_without_secrets_signs_in_by_the_agent(node: Node) -> None:
    assert node.hosts.register(ADA, draft()).use_agent


def test_secrets_that_do_not_fit_the_kind_are_refused(node: Node) -> None:
    with pytest.raises(Invalid) as refusal:
        node.hosts.register(ADA, draft(secrets={"token": "x" * 30}))
    assert list(refusal.value.fields) == ["token"]


def test_second_master_is_a_conflict(node: Node) -> None:
    node.hosts.register(ADA, HostDraft("here", HostKind.MASTER))
    with pytest.raises(Conflict, match="in the list already, as “here”"):
        node.hosts.register(ADA, HostDraft("there", HostKind.MASTER))


def test_a_port_in_the_address_is_told_where_it_belongs(node: Node) -> None:
    for kind, user in ((HostKind.SSH, "root"), (HostKind.WORKER, "")):
        with pytest.raises(Invalid) as refusal:
            node.hosts.add_host(ADA, HostDraft("web1", kind, "web1.example.org:22", username=user))
        assert refusal.value.fields == {
            "address": "Leave the port out of the address; it has a field of its own, or stands in a URL."
        }
