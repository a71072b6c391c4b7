"""Output on its way to the screen: lines, open lines, and messages to the pages that look."""

import asyncio
from typing import Any

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.output.feed import Feed
from quarterdeck.tasks.output.loglines import LineMaker, as_wire
from tests.deck import wait_until

OUT, ERR = Stream.OUT, Stream.ERR


def test_a_line_is_whole_at_its_end_and_open_before() -> None:
    maker = LineMaker()
    assert as_wire(maker.take(OUT, b"one\ntw", 5)) == [["out", [["one", ""]], 5]]
    assert as_wire(maker.open_lines()) == [["out", [["tw", ""]], 0]]
    assert (maker.whole, maker.lines) == (Sizes(4, 0), Sizes(1, 0))
    assert as_wire(maker.take(OUT, b"o\n")) == [["out", [["two", ""]], 0]]
    assert maker.open_lines() == []
    assert (maker.whole, maker.lines) == (Sizes(8, 0), Sizes(2, 0))


def test_streams_keep_their_own_unfinished_lines_and_colours() -> None:
    maker = LineMaker()
    maker.take(OUT, b"\x1b[31mred ")
    maker.take(ERR, b"plain ")
    lines = maker.take(OUT, b"still\n") + maker.take(ERR, b"too\n")
    assert as_wire(lines) == [["out", [["red still", "fg-1"]], 0], ["err", [["plain too", ""]], 0]]


def test_a_character_cut_between_chunks_comes_out_whole() -> None:
    maker = LineMaker()
    first, second = "ä".encode()[:1], "ä".encode()[1:]
    assert maker.take(OUT, first) == []
    assert as_wire(maker.take(OUT, second + b"\n")) == [["out", [["ä", ""]], 0]]


class Screen:
    """Takes what is published of run r; ``watched`` are the hosts that somebody looks at."""

    def __init__(self, *watched: str) -> None:
        self.messages: list[dict[str, Any]] = []
        self.watched = set(watched)
        self.feed = Feed(self.publish, lambda room: room.removeprefix("output:r/") in self.watched)
        self.writers: dict[str, LineMaker] = {}

    def publish(self, event: str, data: dict[str, Any], *, room: str) -> None:
        assert (event, room, data["run"]) == ("run:output", "run:r", "r")
        self.messages.append(data)

    def print_out(self, data: bytes, host: str = "h") -> None:
        writer = self.writers.setdefault(host, LineMaker())
        writer.skip(OUT, data)
        self.feed.take("r", host, OUT, data, lines=writer)

    def parts(self, host: str = "h") -> list[dict[str, Any]]:
        return [part for message in self.messages for part in message["hosts"] if part["host"] == host]

    def texts(self, kind: str = "lines") -> list[str]:
        lines = [line for part in self.parts() for line in part[kind]]
        return ["".join(text for text, _ in spans) for _, spans, _ in lines]

    async def until(self, count: int) -> None:
        await asyncio.to_thread(wait_until, lambda: len(self.messages) >= count, f"{count} messages")


async def test_the_first_message_says_where_the_output_stands() -> None:
    screen = Screen("h")
    screen.print_out(b"one\ntwo\nthr")
    await screen.until(1)
    (part,) = screen.parts()
    assert part == {"host": "h", "first": [2, 0], "lines": [], "open": [["out", [["thr", ""]], 0]]}


async def test_messages_go_on_where_the_last_one_ended() -> None:
    screen = Screen("h")
    for number, text in enumerate((b"zero\n", b"one\ntw", b"o\nthree\n")):
        screen.print_out(text)
        await screen.until(number + 1)
    assert [part["first"] for part in screen.parts()] == [[1, 0], [1, 0], [2, 0]]
    assert screen.texts() == ["one", "two", "three"]
    assert screen.texts("open") == ["tw"]


async def test_many_prints_within_a_tick_are_one_message() -> None:
    screen = Screen("h")
    screen.print_out(b"begun\n")
    screen.feed.flush("r")
    for number in range(100):
        screen.print_out(b"%d\n" % number)
    await screen.until(2)
    assert len(screen.messages) == 2
    assert screen.texts() == [str(number) for number in range(100)]


async def test_many_hosts_share_one_message() -> None:
    hosts = [f"node-{number}" for number in range(50)]
    screen = Screen(*hosts)
    for host in hosts:
        screen.print_out(b"a\n", host)
    await screen.until(1)
    assert [part["host"] for part in screen.messages[0]["hosts"]] == hosts
    assert len(screen.messages) == 1


async def test_only_what_somebody_looks_at_is_made() -> None:
    screen = Screen("h")
    screen.print_out(b"unseen\n", "other")
    screen.print_out(b"seen\n")
    screen.watched.clear()
    screen.print_out(b"unseen\n")
    screen.watched.add("h")
    screen.print_out(b"seen again\n")
    await screen.until(1)
    assert [part["first"] for part in screen.parts()] == [[3, 0]]
    assert screen.parts("other") == []


async def test_a_flood_is_not_sent_but_tells_where_it_stands() -> None:
    screen = Screen("h")
    screen.print_out(b"begun\n")
    screen.feed.flush("r")
    for _ in range(40):
        screen.print_out(b"x" * 8191 + b"\n")
    await screen.until(2)
    part = screen.parts()[-1]
    assert sum(part["first"]) + len(part["lines"]) == 41
    assert len(part["lines"]) <= 8


async def test_a_message_for_many_hosts_has_an_end() -> None:
    hosts = [f"node-{number}" for number in range(20)]
    screen = Screen(*hosts)
    for _ in range(2):
        for host in hosts:
            screen.print_out(b"x" * 999 + b"\n", host)
        screen.feed.flush("r")
    for _ in range(30):
        for host in hosts:
            screen.print_out(b"x" * 999 + b"\n", host)
    screen.feed.flush("r")
    parts = screen.messages[-1]["hosts"]
    assert sum(len(part["lines"]) for part in parts) * 1000 <= 256 * 1024
    assert {sum(part["first"]) + len(part["lines"]) for part in parts} == {32}


async def test_what_is_pending_at_a_hosts_end_still_comes() -> None:
    screen = Screen("h")
    screen.print_out(b"begun\n")
    screen.feed.flush("r")
    screen.print_out(b"last\n")
    screen.feed.close("r", "h")
    await screen.until(2)
    assert screen.texts() == ["last"]
    screen.feed.close("r", "h")


async def test_a_cut_is_told() -> None:
    screen = Screen("h")
    screen.print_out(b"begun\n")
    screen.feed.flush("r")
    screen.feed.tell_cut("r", "h")
    await screen.until(2)
    assert screen.parts()[-1]["lines"] == []
