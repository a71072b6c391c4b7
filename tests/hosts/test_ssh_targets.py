"""Names that are refused before any connection."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import Invalid
from quarterdeck.hosts.ssh import SshPool, SshTarget, check_target, name_problem

GOOD = SshTarget(host_id="1", name="web", address="10.0.0.1", username="ops", host_key="ssh-ed25519 AAAA")
HOSTILE = [
    "-oProxyCommand=touch /tmp/x",
    "-",
    "--",
    "a b",
    "a\tb",
    "a\nb",
    "a\rb",
    "a\0b",
    "a\x1b[31mb",
    "a'b",
    'a"b',
    "a`id`b",
    "a%hb",
    "a\\b",
    "a\u2028b",
    "a\u202eb",
    "a\u00a0b",
    "a\ud800b",
    "x" * 256,
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("field", ["address", "username"])
async def test_hostile_name_is_refused_and_named(field: str, name: str) -> None:
    pool = SshPool()
    target = replace(GOOD, address=name) if field == "address" else replace(GOOD, username=name)
    for attempt in (pool.lease, pool.scan_host_key):
        with pytest.raises(Invalid) as caught:
            await attempt(target)
        assert list(caught.value.fields) == [field]
    assert pool.connections() == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_jump_host_is_refused_and_named(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_target(replace(GOOD, jump=replace(GOOD, jump=replace(GOOD, address=name))))
    assert list(caught.value.fields) == ["jump.jump.address"]


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(Invalid) as caught:
        check_target(replace(GOOD, port=port))
    assert list(caught.value.fields) == ["port"]


def test_endless_chain_of_jump_hosts_is_refused() -> None:
    target = GOOD
    for _ in range(9):
        target = replace(GOOD, jump=target)
    with pytest.raises(Invalid):
        check_target(target)


@pytest.mark.parametrize(
    "name", ["web1", "web1.example.org", "10.0.0.1", "::1", "fe80::1", "bücher.example", "ops_2"]
)
def test_ordinary_name_is_accepted(name: str) -> None:
    assert name_problem(name) == ""


def test_secrets_are_not_in_the_text_of_a_target() -> None:
    target = replace(GOOD, private_key="MARKER", passphrase="MARKER", password="MARKER")
    assert "MARKER" not in repr(target)


@given(st.text(min_size=1, max_size=20))
def test_accepted_name_is_one_plain_word(name: str) -> None:
    if name_problem(name) == "":
        assert not name.startswith("-")
        assert name.split() == [name]
        assert not set(name) & set("'\"`%\\\0")
