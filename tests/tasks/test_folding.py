"""Hosts that ended alike stand together; what is each host's own can be left out of the comparison."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.tasks.records import RunHostRecord
from quarterdeck.tasks.results.folding import Folding, Ignored, fold, normalised, own_names, stored_keys
from quarterdeck.tasks.states import RunState

NAMES, NUMBERS = Ignored(names=True), Ignored(numbers=True)


def part(
    name: str, out_hash: str = "", state: RunState = RunState.SUCCEEDED, *, exit_status: int | None = 0,
    message: str = "", out_bytes: int | None = None, status: int | None = None,
) -> RunHostRecord:  # fmt: skip
    return RunHostRecord(
        host_id=f"id-{name}", name=name, kind="ssh", state=state, message=message, exit_status=exit_status,
        started_at=None, finished_at=None, out_bytes=len(out_hash) if out_bytes is None else out_bytes,
        err_bytes=0, gone=None, details={"status": status} if status else {}, out_hash=out_hash, err_hash="",
    )  # fmt: skip


def folded(*parts: RunHostRecord) -> Folding:
    return fold(parts, stored_keys)


def names(folding: Folding) -> list[list[str]]:
    return [[host.name for host in group.hosts] for group in folding.groups]


def test_the_same_result_is_one_group_and_the_largest_is_the_usual() -> None:
    folding = folded(part("a", "x"), part("b", "y"), part("c", "x"), part("d", "x"))
    assert names(folding) == [["b"], ["a", "c", "d"]]
    assert folding.usual
    assert folding.usual.first.name == "a"
    assert folding.differing_hosts == 1


def test_what_differs_comes_first_the_worst_before_the_larger() -> None:
    failed = part("f", "x", RunState.FAILED, exit_status=1)
    lost = part("l", "", RunState.LOST, exit_status=None)
    usual = [part(name, "x") for name in "abc"]
    other = [part(name, "y") for name in "de"]
    assert names(folded(*other, *usual, failed, lost)) == [["l"], ["f"], ["d", "e"], ["a", "b", "c"]]


def test_state_exit_status_and_status_of_an_answer_tell_apart_what_was_printed_alike() -> None:
    assert len(folded(part("a", "x"), part("b", "x", exit_status=3)).groups) == 2
    assert len(folded(part("a", "x"), part("b", "x", RunState.FAILED)).groups) == 2
    assert len(folded(part("a", "x", status=404), part("b", "x", status=500)).groups) == 2


def test_without_output_the_message_tells_apart_but_not_by_the_hosts_own_address() -> None:
    def refused(name: str, message: str) -> RunHostRecord:
        return part(name, "", RunState.FAILED, exit_status=None, message=message)

    folding = folded(
        refused("web-1", "web-1 (10.0.0.1:22) refused the connection."),
        refused("web-2", "web-2 (10.0.0.2:22) refused the connection."),
        refused("web-3", "web-3 has another host key."),
    )
    assert names(folding) == [["web-3"], ["web-1", "web-2"]]


def test_where_no_two_are_alike_nothing_is_usual() -> None:
    folding = folded(part("a", "x"), part("b", "y"))
    assert folding.usual is None
    assert folding.differing_hosts == 2


def test_one_host_alone_is_the_usual_and_none_is_nothing() -> None:
    assert names(folded(part("a", "x"))) == [["a"]]
    assert folded().groups == ()


def test_what_goes_on_or_is_not_hashed_yet_is_in_no_group() -> None:
    folding = folded(part("a", "x"), part("b", "", RunState.RUNNING), part("c", "", out_bytes=9))
    assert names(folding) == [["a"]]
    assert folding.pending == 1
    assert folding.group_of("b") is None


def test_the_key_of_a_group_stays_while_others_come() -> None:
    first, second = folded(part("a", "x")), folded(part("b", "y"), part("a", "x"), part("c", "y"))
    group = second.group_of("a")
    assert group
    assert group.key == first.groups[0].key


def test_own_names_are_alike_but_not_in_the_middle_of_a_word() -> None:
    own = own_names("web-1", "web-1.example.org")
    one = normalised(b"web-1 WEB-1.example.org: web-10 myweb-1", NAMES, own)
    assert one == b"<host> <host>: web-10 myweb-1"
    assert normalised(b"at 10.0.0.5:22", NAMES, own_names("db", "10.0.0.5")) == b"at <host>:22"


def test_an_address_of_numbers_has_no_short_name() -> None:
    assert own_names("db", "10.0.0.5") == ("db", "10.0.0.5")
    assert own_names("db", "fe80::1") == ("db", "fe80::1")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"12:01:59 up 3 days", b" 7:01:02 up 145 days"),
        (b"/dev/sda1  40G   9G", b"/dev/sda1  40G  12G"),
        (b"2026-11-27T07:01:59Z pid 1", b"2025-01-02T17:31:00Z pid 31337"),
    ],
)
def test_numbers_are_alike_with_the_gaps_beside_them(one: bytes, other: bytes) -> None:
    assert normalised(one, NUMBERS).strip() == normalised(other, NUMBERS).strip()


def test_words_still_count_when_numbers_do_not() -> None:
    assert normalised(b"3 failed", NUMBERS) != normalised(b"3 passed", NUMBERS)


@given(st.binary(max_size=300), st.text(max_size=20))
def test_any_output_and_any_name_can_be_normalised(output: bytes, name: str) -> None:
    both = Ignored(names=True, numbers=True)
    once = normalised(output, both, (name,))
    assert normalised(output, both, (name,)) == once
    assert normalised(output, Ignored(), (name,)) == output
