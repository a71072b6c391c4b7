"""Where heartbeats arrive: what is taken in, whose token counts, and what a hostile worker may send."""

import asyncio
import logging
import math
import random
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.security import new_token
from quarterdeck.metrics.ingest import MOST_BODY_BYTES
from quarterdeck.protocol.samples import Facts, Frame, Heartbeat, Interface, Mount, Temperature
from tests.deck import wait_until
from tests.hosts.factories import open_node
from tests.metrics.desk import FACTS, TOKEN, Desk, join, open_desk, post

HUGE = "x" * 100_000


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path / "home") as desk:
        yield desk


def full(at: float, **values: float) -> Frame:
    return Frame(at=at, is_full=True, values=values or {"cpu": 10})


# --- what is taken in ---


def test_samples_and_facts_of_a_worker_are_in_the_fleet(desk: Desk) -> None:
    answer = desk.beat(full(desk.time(), cpu=42), number=1, start="a").beat
    assert (answer.interval_seconds, answer.wants_full) == (15, False)
    assert (desk.now.values, desk.now.facts, desk.now.at) == ({"cpu": 42}, FACTS, desk.time())
    desk.beat(Frame(at=desk.time() + 1, values={"load": 2}), number=2, start="a", sent_at=desk.time() + 1)
    assert desk.now.values == {"cpu": 42}, "a sample that is not newer is passed over"


def test_times_are_the_masters_whatever_the_clock_of_the_worker(desk: Desk) -> None:
    desk.beat(full(1_000), Frame(at=1_010, values={"cpu": 20}), sent_at=1_012)
    assert desk.now.at == desk.time() - 2
    assert [at for at, _ in desk.now.ring.since()] == [desk.time() - 12, desk.time() - 2]


def test_a_worker_that_somebody_looks_at_is_told_in_the_answer(desk: Desk) -> None:
    desk.attention.look([desk.host_id])
    assert desk.beat(full(desk.time())).beat.interval_seconds == 1
    desk.node.clock.forward(21)
    assert desk.beat(full(desk.time())).beat.interval_seconds == 15


def test_a_master_that_knows_nothing_wants_everything(desk: Desk) -> None:
    assert desk.beat(Frame(at=desk.time(), values={"cpu": 1}), facts=None).beat.wants_full
    assert desk.fleet.now(desk.host_id) is None
    assert desk.beat(full(desk.time()), facts=None).beat.wants_full, "the facts are missing"
    assert not desk.beat().beat.wants_full


def test_a_gap_between_heartbeats_makes_the_master_ask_for_everything(desk: Desk) -> None:
    def next_beat(number: int, start: str = "a") -> bool:
        desk.node.clock.forward(15)
        delta = Frame(at=desk.time(), values={"load": 1})
        return desk.beat(delta, number=number, start=start).beat.wants_full

    desk.beat(full(desk.time()), number=1, start="a")
    assert [next_beat(2), next_beat(3), next_beat(5), next_beat(6), next_beat(7, "b")] == [
        False,
        False,
        True,
        False,
        True,
    ]


def test_others_are_told_of_each_heartbeat(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, str, float]] = []

    def fail(*_: object) -> None:
        raise RuntimeError("a listener at fault")

    desk.ingest.on_heartbeat(fail)
    desk.ingest.on_heartbeat(lambda host_id, beat, at: told.append((host_id, beat.version, at)))
    with caplog.at_level(logging.ERROR):
        assert desk.beat(version="7.1").status == 200
    assert told == [(desk.host_id, "7.1", desk.time())]
    assert "a listener failed" in caplog.text


def test_the_end_of_the_workers_history_is_written_down(desk: Desk) -> None:
    desk.beat(head="ab" * 32, seq=7)
    desk.beat(head="ab" * 32, seq=7)
    desk.beat(head="cd" * 32, seq=9)
    history = desk.node.history  # which writes it down a moment later
    wait_until(lambda: [each.seq for each in history.witnessed("far")] == [9, 7], "both ends, once each")


# --- whose token counts ---


def test_nobody_is_let_in_without_a_token_of_a_worker(desk: Desk) -> None:
    body = msgspec.msgpack.encode(Heartbeat(node="far", version="1", sent_at=1))
    for token in ("", "another-token-that-nobody-has-0123", "x" * 600):
        refused = desk.send(body, token=token)
        assert (refused.status, refused.problem["status"]) == (401, 401)
    desk.send(body, token="another-token-that-nobody-has-0123")
    assert desk.bad_bearers == ["another-token-that-nobody-has-0123 192.0.2.9"], "once, not each time"


def test_only_posts_are_taken(desk: Desk) -> None:
    assert desk.send(b"", method="GET").problem["status"] == 405


def test_a_revoked_worker_is_refused_at_once(desk: Desk) -> None:
    assert desk.beat(full(desk.time())).status == 200
    host = desk.node.hosts.get("far")
    desk.node.hosts.revoking.begin(SYSTEM, host)
    assert desk.beat(full(desk.time())).status == 401


def test_a_removed_worker_is_refused_at_once(desk: Desk) -> None:
    assert desk.beat().status == 200
    desk.node.hosts.remove_host(SYSTEM, "far")
    assert desk.beat().status == 401


def test_a_worker_revoked_in_another_process_is_refused_within_two_seconds(
    desk: Desk, tmp_path: Path
) -> None:
    assert desk.beat().status == 200
    with open_node(tmp_path / "home") as beside:
        beside.hosts.revoking.begin(SYSTEM, beside.hosts.get("far"))
    desk.node.loop.run(desk.ingest.sweep())
    assert desk.beat().status == 401


def test_a_worker_speaks_for_itself_whatever_name_it_gives(desk: Desk) -> None:
    token = new_token()
    near_id = join(desk.node, "near", token)
    body = Heartbeat(node="far", version="1", sent_at=desk.time(), frames=[full(desk.time(), cpu=99)])
    assert desk.send(msgspec.msgpack.encode(body), token=token).status == 200
    assert desk.fleet.now(desk.host_id) is None
    near = desk.fleet.now(near_id)
    assert near is not None
    assert near.values == {"cpu": 99}


# --- what a hostile worker sends ---


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"GET / HTTP/1.1",
        msgspec.json.encode({"node": "far", "version": "1", "sent_at": 1}),
        msgspec.msgpack.encode([1, 2]),
        msgspec.msgpack.encode({"node": "far"}),
        msgspec.msgpack.encode({"node": 1, "version": "1", "sent_at": 1}),
        msgspec.msgpack.encode({"node": "far", "version": "1", "sent_at": "now"}),
        msgspec.msgpack.encode({"node": "far", "version": "1", "sent_at": math.nan}),
        msgspec.msgpack.encode({"node": "far", "version": "1", "sent_at": math.inf}),
        msgspec.msgpack.encode({"node": "far", "version": "1", "sent_at": 1, "frames": [{}]}),
        b"\x81\xa6frames\xdd\xff\xff\xff\xff",
        b"\x91" * 5_000,
        b"\x84\xa4node\xa2\xff\xfe\xa7version\xa11\xa7sent_at\x01\xa6frames\x90",
    ],
)
def test_what_is_no_heartbeat_is_refused_with_a_reason(desk: Desk, body: bytes) -> None:
    refused = desk.send(body)
    assert (refused.status, refused.problem["status"]) == (422, 422)
    assert refused.problem["detail"]


def test_a_million_samples_are_refused(desk: Desk) -> None:
    frames = [Frame(at=float(number)) for number in range(5_000)]
    beat = Heartbeat(node="far", version="1", sent_at=1, frames=frames)
    assert desk.send(msgspec.msgpack.encode(beat)).problem["status"] == 422
    said = b"\x84\xa4node\xa3far\xa7version\xa11\xa7sent_at\x01\xa6frames\xdd\x00\x0f\x42\x40"
    assert desk.send(said + b"\x81\xa2at\x01" * 60_000).problem["status"] == 413


def test_a_body_is_read_up_to_its_limit_and_no_further(desk: Desk) -> None:
    tracemalloc.start()
    refused = desk.send(*[b"\x90" * 65_536] * 1_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (refused.status, refused.headers["connection"]) == (413, "close")
    assert peak < 8 * MOST_BODY_BYTES
    assert desk.send(b"", content_length=str(10**12)).problem["status"] == 413
    assert desk.ingest._bytes == 0


def test_a_heartbeat_that_breaks_off_is_refused(desk: Desk) -> None:
    async def broken() -> int:
        async def app(scope: Any, _receive: Any, send: Any) -> None:
            async def gone() -> dict[str, str]:
                return {"type": "http.disconnect"}

            await desk.ingest(scope, gone, send)

        return (await post(app, (b"",), token=TOKEN, method="POST")).status

    assert desk.node.loop.run(broken()) == 422


def test_figures_are_brought_within_their_ranges(desk: Desk) -> None:
    said = {"cpu": 1e300, "memory": -5.0, "load": math.nan, "disk": math.inf, "sent": -1.0, "received": 1e99}
    frame = Frame(
        at=desk.time(),
        is_full=True,
        values=said | {"temperature": -400.0, "made_up": 1.0},
        cores=[math.nan, 900],
    )
    assert desk.beat(frame).status == 200
    assert desk.now.values == {"cpu": 100, "memory": 0, "sent": 0, "received": 1e13, "temperature": -273}
    assert desk.now.cores == [0, 100]


def test_texts_and_sizes_are_brought_within_limits(desk: Desk) -> None:
    frame = Frame(
        at=desk.time(),
        is_full=True,
        mounts=[Mount(f"/a\n\x1b[2J\u202e{HUGE}"[:90_000], -1, 2**63), Mount("/b", 10, 2**62)],
        interfaces=[Interface("eth0\x00", -5, 2**63, math.inf, -1.0)],
        temperatures=[Temperature("\r\nhot", math.nan)],
    )
    facts = Facts(hostname="a\x07b", processors=-4, memory_bytes=2**63, addresses=["10.0.0.1\n"] * 900)
    assert desk.beat(frame, facts=facts, version="1\n2" + "9" * 900).status == 200
    mount, other = desk.now.mounts
    assert mount.path.startswith("/a[2Jx")
    assert (len(mount.path) <= 300, mount.total_bytes, mount.available_bytes) == (True, 0, 0)
    assert other.available_bytes == 10
    assert desk.now.interfaces == [Interface("eth0", 0, 2**62, 0, 0)]
    assert desk.now.temperatures == [Temperature("hot", 0)]
    known = desk.now.facts
    assert known is not None
    assert (known.hostname, known.processors, known.memory_bytes) == ("ab", 0, 2**62)
    assert known.addresses == ["10.0.0.1"] * 32


def test_lists_are_cut(desk: Desk) -> None:
    frame = Frame(
        at=desk.time(),
        is_full=True,
        cores=[1.0] * 5_000,
        mounts=[Mount(f"/{number}", 1, 1) for number in range(500)],
        interfaces=[Interface(f"e{number}", 1, 1) for number in range(500)],
        temperatures=[Temperature("t", 1)] * 500,
    )
    desk.beat(frame)
    now = desk.now
    assert [len(each) for each in (now.cores, now.mounts, now.interfaces, now.temperatures)] == [
        1024,
        64,
        64,
        32,
    ]


@pytest.mark.parametrize("ahead", [1, 86_400, 1e15, 1e300])
def test_a_sample_of_the_future_is_one_of_now(desk: Desk, ahead: float) -> None:
    desk.beat(full(desk.time() + ahead))
    assert desk.now.at == desk.time()


def test_a_sample_older_than_what_is_kept_for_the_master_is_dropped(desk: Desk) -> None:
    desk.beat(full(desk.time() - 3_600, cpu=1), full(desk.time() - 500, cpu=2), full(-1e300, cpu=3))
    assert [row[0] for _, row in desk.now.ring.since()] == [2]


def test_a_worker_that_floods_is_slowed_and_no_other(desk: Desk) -> None:
    token = new_token()
    join(desk.node, "near", token)
    statuses = [desk.beat().status for _ in range(40)]
    assert statuses[:20] == [200] * 20
    assert statuses[20:] == [429] * 20
    body = msgspec.msgpack.encode(Heartbeat(node="near", version="1", sent_at=1))
    assert desk.send(body, token=token).status == 200
    desk.node.clock.forward(4)
    assert desk.beat().status == 200


def test_one_worker_has_one_heartbeat_under_way(desk: Desk) -> None:
    body = msgspec.msgpack.encode(Heartbeat(node="far", version="1", sent_at=1))

    async def two() -> list[int]:
        both = [post(desk.ingest, (b"", body), token=TOKEN, method="POST") for _ in range(2)]
        return sorted([each.status for each in await asyncio.gather(*both)])

    desk.beat()
    assert desk.node.loop.run(two()) == [200, 429]


def test_garbage_of_every_kind_never_makes_a_fault(desk: Desk) -> None:
    chance = random.Random(5)  # noqa: S311 - no secret
    good = bytearray(
        msgspec.msgpack.encode(
            Heartbeat(node="far", version="1", sent_at=1, frames=[full(1)], facts=FACTS, number=3)
        )
    )
    statuses = set()
    for _ in range(400):
        body = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        desk.node.clock.forward(1)
        statuses.add(desk.send(bytes(body)).status)
    assert statuses <= {200, 422}


def test_a_heartbeat_costs_the_master_little(desk: Desk) -> None:
    desk.beat(full(desk.time()), number=1)
    began = time.process_time()
    for number in range(2, 202):
        desk.node.clock.forward(15)
        assert desk.beat(Frame(at=desk.time(), values={"cpu": 1.0}), number=number).status == 200
    # With a thread's hop for each, which a server has not; far from what would be a fault.
    assert (time.process_time() - began) / 200 < 0.005
