"""Output and the visitor's own words, in pieces of any size."""

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.ssh.kept_words import Hearing, KeptEnd

WORD = "w0rdw0rd"
noise = st.sampled_from([b"", b"hello\n", b"w0rdw0r", b"+ exec sh -c x sh m w0rdw0rd start 0 0\n"])
output = st.lists(st.sampled_from([b"a", b"\n", b"w0r", b"w0rdw0r", b"w", b" end 1 2 3\n", b"\0"])).map(
    b"".join
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [piece for piece in [*pieces, data[at:]] if piece]


@given(noise, output, output, st.lists(st.integers(1, 9)))
def test_errors_arrive_as_printed_and_the_words_are_heard(
    before: bytes, first: bytes, second: bytes, sizes: list[int]
) -> None:
    sent = before + b"w0rdw0rd begun /x/y z\n" + first + b"w0rdw0rd end 7 3 9 whole\n" + second + b"$"
    hearing = Hearing(WORD)
    passed = b"".join(hearing.feed(Stream.ERR, piece) for piece in cut(sent, sizes))
    assert passed == first + second + b"$"
    assert (hearing.said, hearing.folder) == ("begun", "/x/y z")
    assert hearing.end == KeptEnd(7, Sizes(3, 9), "whole")


@given(noise, output, st.lists(st.integers(1, 9)))
def test_output_begins_behind_the_word(before: bytes, sent: bytes, sizes: list[int]) -> None:
    hearing = Hearing(WORD)
    pieces = cut(before + b"w0rdw0rd\n" + sent, sizes)
    assert b"".join(hearing.feed(Stream.OUT, piece) for piece in pieces) == sent
    assert hearing.said == "begun"


@given(st.binary(max_size=60).filter(lambda words: b"\n" not in words))
def test_whatever_a_host_says_of_the_end_is_taken_without_a_fault(words: bytes) -> None:
    hearing = Hearing(WORD)
    hearing.feed(Stream.ERR, b"w0rdw0rd begun /x\nw0rdw0rd end " + words + b"\n")
    assert hearing.end is not None
