"""The rooms in which pages say whose output they show, with real sockets."""

import pytest

import quarterdeck.tasks.live
from quarterdeck.access.permissions import may
from quarterdeck.core.live.service import CONSOLE
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.feed import Feed, room_of
from quarterdeck.tasks.output.loglines import LineMaker
from tests.core.live_server import client, live_serving
from tests.core.server import until

RUN = "01jd8xk3v0abcdefghjkmnpqrs"


@pytest.mark.parametrize(
    ("who", "is_allowed"), [("ada", True), ("oskar", True), ("vera", True), ("nils", False)]
)
async def test_output_is_for_those_who_may_read_runs(who: str, is_allowed: bool) -> None:
    async with live_serving() as (live, port), client(port, who) as viewer:
        quarterdeck.tasks.live.register(live, may)
        answer = await viewer.call("room:join", {"room": room_of(RUN, "web1:22")}, namespace=CONSOLE)
        assert answer["ok"] is is_allowed
        assert live.is_watched(room_of(RUN, "web1:22")) is is_allowed


async def test_a_viewer_gets_the_output_of_the_hosts_it_shows() -> None:
    async with live_serving() as (live, port), client(port, "vera") as viewer:
        quarterdeck.tasks.live.register(live, may)
        for room in (f"run:{RUN}", room_of(RUN, "web1")):
            await viewer.call("room:join", {"room": room}, namespace=CONSOLE)
        feed = Feed(live.publish, live.is_watched)
        for text in (b"one\n", b"two\n"):
            for host in ("web1", "web2"):
                lines = LineMaker()
                lines.skip(Stream.OUT, text)
                feed.take(RUN, host, Stream.OUT, text, lines=lines)
        feed.flush(RUN)
        await until(lambda: bool(viewer.news), "the news")
        event, news = viewer.news[0]
        assert event == "run:output"
        (part,) = news["hosts"]
        assert part["host"] == "web1"
        assert part["lines"][0][:2] == ["out", [["two", ""]]]
