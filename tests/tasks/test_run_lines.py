"""Output on its way to the screen: lines, open lines, and what a page may have missed."""

import asyncio
from typing import Any

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.feed import Feed
from quarterdeck.tasks.loglines import LONGEST_LINE, LineMaker, as_wire
from quarterdeck.tasks.output import Sizes

OUT, ERR = Stream.OUT, Stream.ERR


def test_a_line_is_whole_at_its_end_and_open_before() -> None:
    maker = LineMaker()
    assert as_wire(maker.take(OUT, b"one\ntw")) == [["out", False, [["one", ""]]]]
    assert as_wire(maker.open_lines()) == [["out", True, [["tw", ""]]]]
    assert maker.whole == Sizes(4, 0)
    assert as_wire(maker.take(OUT, b"o\n")) == [["out", False, [["two", ""]]]]
    assert maker.open_lines() == []
    assert maker.whole == Sizes(8, 0)


def test_streams_keep_their_own_unfinished_lines_and_colours() -> None:
    maker = LineMaker()
    maker.take(OUT, b"\x1b[31mred ")
    maker.take(ERR, b"plain ")
    lines = maker.take(OUT, b"still\n") + maker.take(ERR, b"too\n")
    assert as_wire(lines) == [
        ["out", False, [["red still", "fg-1"]]],
        ["err", False, [["plain too", ""]]],
    ]


def test_a_character_cut_between_chunks_comes_out_whole() -> None:
    maker = LineMaker()
    first, second = "ä".encode()[:1], "ä".encode()[1:]
    assert maker.take(OUT, first) == []
    assert as_wire(maker.take(OUT, second + b"\n")) == [["out", False, [["ä", ""]]]]


def test_a_line_without_end_is_shown_in_parts() -> None:
    maker = LineMaker()
    lines = maker.take(OUT, b"x" * (2 * LONGEST_LINE + 10))
    assert len(lines) == 2
    assert maker.whole == Sizes(2 * LONGEST_LINE, 0)


class Screen:
    """Takes what is published; ``is_watched`` says whether anybody looks."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.is_watched = True
        self.feed = Feed(self.publish, lambda _room: self.is_watched)
        self.sizes = Sizes()

    def publish(self, event: str, data: dict[str, Any], *, room: str) -> None:
        assert (event, room) == ("run:output", "run:r")
        self.messages.append(data)

    def print_out(self, data: bytes) -> None:
        self.feed.take("r", "h", OUT, data, before=self.sizes)
        self.sizes = self.sizes.plus(OUT, len(data))

    @property
    def texts(self) -> list[str]:
        lines = [line for message in self.messages for line in message["lines"]]
        return ["".join(text for text, _ in spans) for _, _, spans in lines]


async def test_many_prints_within_a_tick_are_one_message() -> None:
    screen = Screen()
    for number in range(100):
        screen.print_out(b"%d\n" % number)
    screen.feed.close("r", "h")
    assert len(screen.messages) == 1
    assert screen.texts == [str(number) for number in range(100)]


async def test_messages_go_on_where_the_last_one_ended() -> None:
    screen = Screen()
    for text in (b"one\ntw", b"o\nthree\n"):
        screen.print_out(text)
        await asyncio.sleep(0.1)
    first, second = screen.messages
    assert first["at"] == [0, 0]
    assert first["next"] == second["at"] == [4, 0]
    assert second["next"] == [14, 0]
    assert screen.texts == ["one", "tw", "two", "three"]


async def test_nothing_is_made_while_nobody_looks() -> None:
    screen = Screen()
    screen.is_watched = False
    screen.print_out(b"unseen\n")
    screen.is_watched = True
    screen.print_out(b"seen\n")
    screen.feed.close("r", "h")
    assert screen.texts == ["seen"]
    assert screen.messages[0]["at"] == [7, 0]


async def test_a_flood_is_published_in_part_and_shows_its_gap() -> None:
    screen = Screen()
    for _ in range(40):
        screen.print_out(b"x" * 8191 + b"\n")
    screen.feed.close("r", "h")
    (message,) = screen.messages
    assert message["at"][0] > 0
    assert message["next"] == [40 * 8192, 0]
    assert len(message["lines"]) <= 9
