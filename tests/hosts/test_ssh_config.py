"""Reading an OpenSSH client configuration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.hosts.ssh_config import MOST_HOSTS, HostProposal, read_ssh_config

CONFIG = """
# of the whole fleet
User ops

Host web1 web2
    HostName %h.example.org
    Port 2222
    IdentityFile "~/keys/web key"

Host db
    HostName=10.0.0.7
    ProxyJump gate,ada@inner:2200

Host !db *
    User late
    Port 99
"""


def by_name(text: str) -> dict[str, HostProposal]:
    return {proposal.name: proposal for proposal in read_ssh_config(text).proposals}


def test_each_plain_name_becomes_a_proposal() -> None:
    assert list(by_name(CONFIG)) == ["web1", "web2", "db"]


def test_first_value_wins_and_wildcards_give_defaults() -> None:
    web = by_name(CONFIG)["web1"]
    assert (web.address, web.port, web.username) == ("web1.example.org", 2222, "ops")
    assert web.identity_file == "~/keys/web key"


def test_negated_pattern_keeps_a_section_away() -> None:
    database = by_name(CONFIG)["db"]
    assert (database.address, database.port) == ("10.0.0.7", 22)


def test_jump_hosts_come_nearest_first() -> None:
    assert by_name(CONFIG)["db"].jump == ("gate", "ada@inner:2200")


def test_proxy_jump_none_means_no_jump() -> None:
    assert by_name("Host a\nProxyJump none\nHost *\nProxyJump gate")["a"].jump == ()


def test_keywords_and_equals_signs_are_read_as_ssh_does() -> None:
    host = by_name("HOST a\n\thostNAME = b\n\tPORT=23\n\tUser   root # no comment\n")["a"]
    assert (host.address, host.port, host.username) == ("b", 23, "root")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("ProxyCommand nc %h 22; touch /tmp/x", "never run"),
        ("Include ~/.ssh/other", "not followed"),
        ("LocalCommand rm -rf /", "never run"),
        ("KnownHostsCommand /bin/evil", "never run"),
        ("Match exec 'touch /tmp/x'", "not followed"),
        ("ForwardAgent yes", "no meaning"),
        ('User "ada', "quotation mark"),
        ("User", "no value"),
    ],
)
def test_what_is_left_out_is_noted_with_its_line(line: str, word: str) -> None:
    reading = read_ssh_config(f"Host a\n{line}\n")
    assert [(note.line, word in note.text) for note in reading.notes] == [(2, True)]
    assert [proposal.name for proposal in reading.proposals] == ["a"]


def test_settings_of_a_match_section_count_for_nobody() -> None:
    assert by_name("Host a\nMatch user root\nPort 99\n")["a"].port == 22
    assert by_name("Host a\nMatch all\nPort 99\n")["a"].port == 99


@pytest.mark.parametrize(
    "section",
    [
        "Host -oProxyCommand=x",
        "Host a\nHostName -oProxyCommand=x",
        "Host a\nHostName a%b",
        "Host a\nUser a;'b",
        "Host a\nUser -l",
        "Host a\nProxyJump -J",
        "Host a\nPort 0",
        "Host a\nPort 65536",
        "Host a\nPort ²",
        "Host a\nPort 99999999999999999999999999999",
        'Host "a b"',
        "Host a\x1bb",
    ],
)
def test_hostile_host_is_left_out_with_a_note(section: str) -> None:
    reading = read_ssh_config(section)
    assert reading.proposals == ()
    assert "left out" in reading.notes[-1].text
    assert reading.notes[-1].text.isprintable()


def test_too_large_a_file_is_refused() -> None:
    assert read_ssh_config("\n" * 30_000).notes[0].line == 0
    assert read_ssh_config("x" * 2_000_000).proposals == ()


def test_number_of_hosts_is_limited_however_long_the_file() -> None:
    reading = read_ssh_config("".join(f"Host h{n} *a*a*a*{n}b\nPort 23\n" for n in range(9000)))
    assert len(reading.proposals) == MOST_HOSTS


@given(st.text())
def test_no_text_raises(text: str) -> None:
    read_ssh_config(text)


@given(
    st.lists(
        st.sampled_from(
            ["Host", "Match", " ", "*", "!a", "a", "\n", "=", '"', "Port", "22", "User", "%h", "\\"]
        )
    )
)
def test_no_mixture_of_words_raises_or_gives_a_refused_name(parts: list[str]) -> None:
    for proposal in read_ssh_config("".join(parts)).proposals:
        assert proposal.name.isprintable()
        assert 1 <= proposal.port <= 65535
        assert not proposal.address.startswith("-")
