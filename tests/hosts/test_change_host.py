"""Editing, tagging and removing hosts."""

from dataclasses import replace

import asyncssh
import pytest

from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.forms import kept_values
from quarterdeck.hosts.models import HostKind
from tests.hosts.factories import ADA, Node, draft, ssh_draft
from tests.sshd import StartSshd


def current(node: Node, name: str = "web1") -> HostDraft:
    """Return a host as it is, the way an edit begins."""
    return HostDraft(**kept_values(node.hosts.get(name)))


def test_edit_keeps_stored_secrets(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    node.hosts.add_host(ADA, ssh_draft(server), confirm_key=False)
    node.hosts.edit_host(ADA, "web1", replace(current(node), name="web2", tags=("db",)))
    assert node.hosts.get("web2").stored == {"private_key"}
    assert node.hosts.test_host(ADA, "web2").ok


def test_new_key_replaces_the_old_one_and_its_passphrase(node: Node) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    locked = key.export_private_key(passphrase="open").decode()
    node.hosts.register(ADA, draft(secrets={"private_key": locked, "passphrase": "open"}))
    plain = key.export_private_key().decode()
    host = node.hosts.edit_host(ADA, "web1", replace(current(node), secrets={"private_key": plain}))
    assert host.stored == {"private_key"}
    assert node.hosts.ssh_target(host).private_key == plain


def test_new_passphrase_must_open_the_stored_key(node: Node) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key(passphrase="open").decode()
    node.hosts.register(ADA, draft(secrets={"private_key": key, "passphrase": "open"}))
    with pytest.raises(Invalid, match="does not open"):
        node.hosts.edit_host(ADA, "web1", replace(current(node), secrets={"passphrase": "wrong"}))


def test_secret_can_be_forgotten(node: Node) -> None:
    node.hosts.register(ADA, draft(secrets={"password": "hunter22"}))
    host = node.hosts.edit_host(ADA, "web1", replace(current(node), forget=frozenset({"password"})))
    assert not host.stored
    assert host.use_agent


def test_edit_is_recorded_with_before_and_after(node: Node) -> None:
    node.hosts.register(ADA, draft())
    secrets = {"password": "correct-horse"}
    node.hosts.edit_host(ADA, "web1", replace(current(node), port=2, secrets=secrets))
    intent, outcome = node.records("host.edit")
    assert intent["detail"]["changed"] == {"port": [1, 2]}
    assert outcome["detail"]["secrets"] == ["password"]
    assert b"correct-horse" not in node.everything_stored()


def test_kind_stays(node: Node) -> None:
    node.hosts.register(ADA, draft())
    with pytest.raises(Invalid, match="kind of a host stays"):
        node.hosts.edit_host(ADA, "web1", HostDraft("web1", HostKind.WORKER, address="localhost"))


def test_name_can_not_be_taken_over(node: Node) -> None:
    node.hosts.register(ADA, draft("web1"))
    node.hosts.register(ADA, draft("web2"))
    with pytest.raises(Conflict):
        node.hosts.edit_host(ADA, "web2", draft("web1"))


def test_jump_host_leads_there(node: Node, sshd: StartSshd) -> None:
    gate, inner = sshd(), sshd()
    node.hosts.add_host(ADA, ssh_draft(gate, "gate"), confirm_key=False)
    host = node.hosts.add_host(ADA, ssh_draft(inner, "inner", jump="gate"), confirm_key=False)
    assert (host.jump, host.state) == ("gate", "well")


def test_jump_over_itself_is_refused(node: Node) -> None:
    node.hosts.register(ADA, draft("a"))
    node.hosts.register(ADA, draft("b", jump="a"))
    with pytest.raises(Invalid, match="lead back to the host itself"):
        node.hosts.edit_host(ADA, "a", draft("a", jump="b"))


def test_long_chains_of_jump_hosts_are_refused(node: Node) -> None:
    for number in range(5):
        node.hosts.register(ADA, draft(f"hop{number}", jump=f"hop{number - 1}" if number else ""))
    with pytest.raises(Invalid, match="more than four"):
        node.hosts.register(ADA, draft("end", jump="hop4"))


@pytest.mark.parametrize("jump", ["nobody", "here"])
def test_jump_host_must_be_an_ssh_host(node: Node, jump: str) -> None:
    node.hosts.register(ADA, HostDraft("here", HostKind.MASTER))
    with pytest.raises(Invalid) as refusal:
        node.hosts.register(ADA, draft(jump=jump))
    assert list(refusal.value.fields) == ["jump"]


def test_host_that_others_jump_over_stays(node: Node) -> None:
    node.hosts.register(ADA, draft("gate"))
    node.hosts.register(ADA, draft("inner", jump="gate"))
    with pytest.raises(Conflict, match="inner jump over it"):
        node.hosts.remove_host(ADA, "gate")
    assert node.records("host.remove")[-1]["detail"]["result"] == "failed"


def test_removed_host_takes_its_secrets_along(node: Node) -> None:
    node.hosts.register(ADA, draft(tags=("web",), secrets={"password": "hunter22"}))
    node.hosts.remove_host(ADA, "web1")
    with pytest.raises(NotFound):
        node.hosts.get("web1")
    assert not node.hosts.list.tags()


def test_name_added_again_is_another_host(node: Node) -> None:
    first = node.hosts.register(ADA, draft())
    node.hosts.remove_host(ADA, "web1")
    assert node.hosts.register(ADA, draft()).id != first.id


def test_master_itself_stays_in_the_list(node: Node) -> None:
    node.hosts.register(ADA, HostDraft("here", HostKind.MASTER))
    with pytest.raises(Conflict, match="this node itself"):
        node.hosts.remove_host(ADA, "here")


def test_tags_are_set_as_a_whole(node: Node) -> None:
    node.hosts.register(ADA, draft(tags=("a", "b")))
    assert node.hosts.set_tags(ADA, "web1", ["c", "b", "b"]).tags == ("b", "c")
    assert node.records("host.tag")[0]["detail"]["before"] == ["a", "b"]


@pytest.mark.parametrize(
    "tags", [["a b"], ["-x"], ["x" * 41], ["a%"], [f"t{number}" for number in range(21)]]
)
def test_bad_tags_are_refused(node: Node, tags: list[str]) -> None:
    node.hosts.register(ADA, draft())
    with pytest.raises(Invalid):
        node.hosts.set_tags(ADA, "web1", tags)


def test_names_and_tags_resolve_to_each_host_once(node: Node) -> None:
    for name, tags in (("a", ("web",)), ("b", ("web", "db")), ("c", ())):
        node.hosts.register(ADA, draft(name, tags=tags))
    assert [host.name for host in node.hosts.resolve(["a", "c"], ["web"])] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("names", "tags"), [([], []), (["nobody"], []), ([], ["nothing"]), (["a", "nobody"], [])]
)
def test_unknown_and_empty_choices_never_mean_all(node: Node, names: list[str], tags: list[str]) -> None:
    node.hosts.register(ADA, draft("a"))
    with pytest.raises(Invalid):
        node.hosts.resolve(names, tags)


def test_list_filters_searches_and_sorts(node: Node) -> None:
    node.hosts.register(ADA, draft("web-1", tags=("eu",), address="10.0.0.1"))
    node.hosts.register(ADA, draft("web_2", tags=("us", "eu"), address="10.0.0.2"))
    node.hosts.register(ADA, HostDraft("here", HostKind.MASTER))

    def names(**query: object) -> list[str]:
        return [host.name for host in node.hosts.list_hosts(**query)]  # type: ignore[arg-type]  # one query each

    assert names(tags=["eu", "us"]) == ["web_2"]
    assert names(kinds=["master"]) == ["here"]
    assert names(q="WEB 10.0.0.1") == ["web-1"]
    assert names(q="web_") == ["web_2"]  # an underscore is itself, not any character
    assert names(sort="-name") == ["web_2", "web-1", "here"]
    assert names(after="here", limit=1) == ["web-1"]


def test_passwords_and_keys_are_opened_for_connecting_only(node: Node) -> None:
    host = node.hosts.register(ADA, draft(secrets={"password": "hunter22"}))
    assert node.hosts.ssh_target(host).password == "hunter22"
    assert "hunter22" not in repr(node.hosts.ssh_target(host))
    assert "hunter22" not in repr(draft(secrets={"password": "hunter22"}))
