"""Importing many hosts: all or none, from YAML or an OpenSSH config."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import Invalid
from quarterdeck.hosts.imports import ImportDefaults, ImportFormat, ImportPlan, plan_import
from quarterdeck.hosts.models import HostKind
from tests.hosts.factories import ADA, Node, draft

FLEET = """
defaults:
  username: deploy
  tags: [production]
hosts:
  - name: gate
    address: gate.example.org
  - name: web1
    address: 10.0.0.1
    port: 2222
    username: root
    tags: web eu
    jump: gate
    password: hunter22
  - {name: w1, kind: worker, address: w1.example.org, token: a-token-of-enough-length, username: ""}
"""

CONFIG = """
Host gate
    HostName gate.example.org
    User ops
Host web1 web2
    HostName %h.example.org
    User deploy
    IdentityFile ~/.ssh/fleet
    ProxyJump gate
Host far
    User deploy
    ProxyJump gate,ada@inner.example.org:2200
"""


def plan(node: Node, text: str, format_: str = "yaml", defaults: ImportDefaults | None = None) -> ImportPlan:
    return plan_import(node.hosts, text, ImportFormat(format_), defaults)


def test_yaml_becomes_hosts(node: Node) -> None:
    node.hosts.import_hosts(ADA, plan(node, FLEET).drafts)
    gate, w1, web1 = node.hosts.list_hosts()
    assert (gate.username, gate.tags) == ("deploy", ("production",))
    assert (web1.place, web1.tags, web1.jump) == ("root@10.0.0.1:2222", ("eu", "web"), "gate")
    assert (w1.kind, w1.url, w1.stored) == (
        HostKind.WORKER,
        "https://w1.example.org:5001",
        frozenset({"token"}),
    )


def test_preview_stores_nothing(node: Node) -> None:
    assert plan(node, FLEET).is_good
    assert not node.hosts.list_hosts()
    assert not node.records()


def test_import_is_one_action_without_secrets(node: Node) -> None:
    node.hosts.import_hosts(ADA, plan(node, FLEET).drafts)
    intent, _ = node.records("host.import")
    assert intent["detail"]["hosts"] == ["gate", "web1", "w1"]
    assert b"hunter22" not in node.everything_stored()


def test_each_bad_row_is_told_and_none_is_added(node: Node) -> None:
    rows = ("{name: a, address: a, username: u}", "{name: b b, address: '-x', username: u}", "7", "{name: c}")
    made = plan(node, "hosts:\n" + "\n".join(f"- {row}" for row in rows))
    assert set(made.faults) == {"1.name", "1.address", "2.name", "3.address", "3.username"}
    with pytest.raises(Invalid):
        node.hosts.import_hosts(ADA, made.drafts)
    assert not node.hosts.list_hosts()


def test_names_in_use_and_names_twice_are_faults(node: Node) -> None:
    node.hosts.register(ADA, draft("web1"))
    row = "- {{name: {0}, address: a, username: u}}\n"
    assert set(plan(node, "hosts:\n" + row.format("web1")).faults) == {"0.name"}
    assert set(plan(node, "hosts:\n" + row.format("x") + row.format("X")).faults) == {"1.name"}


def test_unknown_fields_are_faults(node: Node) -> None:
    made = plan(node, "hosts:\n- {name: a, address: a, username: u, proxy_command: id}")
    assert made.faults == {"0.proxy_command": "There is no such field."}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hosts:",
        "hosts: []",
        "just text",
        "hosts: [",
        "hosts:\n\t- a",
        "- !!python/object/apply:os.system [id]",
        "a: &a [x]\nhosts: [*a, *a]",
        "hosts: " + "[" * 5000,
        "hosts:\n" + "  - {name: a}\n" * 6000,
        "other: 1\nhosts: [{name: a}]",
        "defaults: 7\nhosts: [{name: a}]",
        "hosts:\n- name: \x00",
        "x" * 1_100_000,
    ],
)
def test_hostile_and_broken_yaml_is_refused_as_a_whole(node: Node, text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        plan(node, text)
    assert list(refusal.value.fields) == ["text"]


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_or_refused(node: Node, text: str) -> None:
    for format_ in ImportFormat:
        with contextlib.suppress(Invalid):
            plan(node, text, format_)


def test_openssh_config_becomes_hosts(node: Node) -> None:
    made = plan(node, CONFIG, "openssh")
    node.hosts.import_hosts(ADA, made.drafts)
    hosts = {host.name: host for host in node.hosts.list_hosts()}
    assert (hosts["web2"].place, hosts["web2"].jump) == ("deploy@web2.example.org", "gate")
    assert (hosts["far"].jump, hosts["inner.example.org"].place, hosts["inner.example.org"].jump) == (
        "inner.example.org",
        "ada@inner.example.org:2200",
        "gate",
    )


def test_key_files_of_a_config_are_named_and_never_opened(node: Node) -> None:
    made = plan(node, CONFIG, "openssh")
    assert [row.notes for row in made.rows if row.name == "web1"] == [
        ("Signs in with ~/.ssh/fleet there; give that key below or on the host's page.",)
    ]


def test_what_a_config_leaves_out_is_filled_in(node: Node) -> None:
    defaults = ImportDefaults("ops", ("fleet",), {"password": "hunter22"})
    made = plan(node, "Host a\nHost b\n  User root", "openssh", defaults)
    node.hosts.import_hosts(ADA, made.drafts)
    hosts = {host.name: host for host in node.hosts.list_hosts()}
    assert (hosts["a"].username, hosts["b"].username) == ("ops", "root")
    assert all(host.tags == ("fleet",) and host.stored == {"password"} for host in hosts.values())


def test_config_without_hosts_says_why(node: Node) -> None:
    with pytest.raises(Invalid, match="Include is not followed"):
        plan(node, "Include other", "openssh")
