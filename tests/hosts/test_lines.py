"""The door for workers that dial in, knocked at by hand: who gets in, and what ends a line."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from quarterdeck.core import serve
from quarterdeck.core.config import Bind
from quarterdeck.core.dispatch import Dispatcher
from quarterdeck.core.errors import Unreachable
from quarterdeck.core.security import new_token
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind, HostRecord
from quarterdeck.protocol import line as protocol
from tests.core.server import until
from tests.deck import wait_until
from tests.hosts.factories import ADA, TOKEN, Node, open_node

Knock = Callable[..., ClientConnection]


class Door:
    """A served node, and what knocks at it."""

    def __init__(self, node: Node, port: int) -> None:
        self.node, self.port = node, port
        self.opened = contextlib.ExitStack()

    def joined(self, name: str = "far") -> str:
        """Let a worker join; returns what it shows."""
        invited = self.node.hosts.invitations.invite(ADA, name)
        token = new_token()
        wanted = protocol.CodeJoin(code=invited.code, bearer=new_token(), token=token)
        self.node.hosts.invitations.join(wanted, "192.0.2.9")
        return token

    def knock(self, token: str = "", *, speaks: str = protocol.SUBPROTOCOL, **more: Any) -> ClientConnection:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        opening = connect(
            f"ws://127.0.0.1:{self.port}{protocol.PATH}",
            additional_headers=headers | more.pop("headers", {}),
            subprotocols=[Subprotocol(speaks)] if speaks else None,
            compression=None,
            proxy=None,
            **more,
        )
        opened: ClientConnection = self.opened.enter_context(opening)
        return opened

    def refused(self, *arguments: Any, **more: Any) -> int:  # Any: of knock
        with pytest.raises(InvalidStatus) as refusal:
            self.knock(*arguments, **more)
        return refusal.value.response.status_code

    def ask(self, host: HostRecord) -> Any:  # Any: what the loop gives back
        return self.node.loop.submit(self.node.hosts.calls.health(self.node.hosts.worker_link(host)))


@pytest.fixture
def door(node: Node) -> Iterator[Door]:
    async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("nothing else is asked for")

    lines = node.hosts.lines
    listener = serve.listen(Bind("127.0.0.1", 0))
    config = serve.configure(Dispatcher(nothing, loop=node.loop, websockets={protocol.PATH: lines}))
    config.lifespan = "off"
    server = uvicorn.Server(config)

    async def start() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(server._serve([listener])), asyncio.create_task(lines.watch())]
        await until(lambda: server.started and lines.is_open, "the door to be there")
        return tasks

    async def end() -> None:
        await lines.stop()
        server.should_exit = True
        await asyncio.wait_for(tasks[0], 10)

    tasks = node.loop.run(start())
    door = Door(node, listener.getsockname()[1])
    yield door
    door.opened.close()
    node.loop.run(end())


def sent(opened: ClientConnection, message: msgspec.Struct) -> None:
    opened.send(msgspec.msgpack.encode(message))


def asked(opened: ClientConnection) -> protocol.Request:
    """Return the next request of the master."""
    while True:
        message = msgspec.msgpack.decode(opened.recv(5, decode=False), type=protocol.FromMaster)
        if isinstance(message, protocol.Request):
            return message


def next_for(opened: ClientConnection, id_: int) -> protocol.Credit | protocol.Drop:
    """Return what the master says next of an answer."""
    while True:
        message = msgspec.msgpack.decode(opened.recv(5, decode=False), type=protocol.FromMaster)
        if isinstance(message, protocol.Credit | protocol.Drop) and message.id == id_:
            return message


def end_of(opened: ClientConnection) -> tuple[int, str]:
    """Read to the end of a line; returns its code and reason."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            opened.recv(5)
    close = opened.protocol.close_rcvd
    assert close is not None
    return close.code, close.reason


def test_joined_worker_is_let_in_and_asked_how_it_is(door: Door) -> None:
    opened = door.knock(door.joined())
    request = asked(opened)
    assert (request.method, request.target) == ("GET", "/health")
    assert [event["host"] for event in door.node.events("host.line_up")] == ["far"]


def test_page_of_any_site_can_not_open_a_line(door: Door) -> None:
    token = door.joined()
    own = f"http://127.0.0.1:{door.port}"
    assert door.refused(token, headers={"Origin": ""}) == 403
    for origin in (own, "https://evil.example", "null"):
        assert door.refused(token, origin=Origin(origin)) == 403
        assert door.refused(origin=Origin(origin), headers={"Cookie": "quarterdeck_session=ada"}) == 403
    assert door.node.events("host.line_up") == []


def test_cookie_opens_no_line(door: Door) -> None:
    assert door.refused(headers={"Cookie": "quarterdeck_session=ada; qd_session=ada"}) == 401


@pytest.mark.parametrize("token", ["", "wrong-token-of-enough-length-0000", "x" * 600])
def test_wrong_token_is_refused(door: Door, token: str) -> None:
    door.joined()
    assert door.refused(token) == 401


def test_refusals_are_on_record_once_for_each_reason(door: Door) -> None:
    for _ in range(5):
        door.refused("wrong-token-of-enough-length-0000")
        door.refused("x", origin=Origin("https://evil.example"))
    assert len(door.node.events("host.line_refused")) == 2


def test_worker_with_an_address_has_no_line(door: Door) -> None:
    node = door.node
    node.hosts.register(ADA, HostDraft("w1", HostKind.WORKER, address="https://w1.example.org", secrets={}))
    link = node.hosts.worker_link(node.hosts.get("w1"))
    assert link.transport is None
    assert door.refused(TOKEN) == 401


@pytest.mark.parametrize("speaks", ["", "quarterdeck-line.99"])
def test_other_version_of_the_line_is_refused(door: Door, speaks: str) -> None:
    assert door.refused(door.joined(), speaks=speaks) == 409


def test_newer_line_takes_over(door: Door) -> None:
    token = door.joined()
    older = door.knock(token)
    asked(older)
    newer = door.knock(token)
    assert end_of(older)[0] == protocol.REPLACED
    asked(newer)
    assert len(door.node.events("host.line_replaced")) == 1
    assert door.node.events("host.line_cut") == []


def test_refused_line_does_not_touch_the_one_that_is_open(door: Door) -> None:
    opened = door.knock(door.joined())
    asked(opened)
    door.refused("wrong-token-of-enough-length-0000")
    ask = door.ask(door.node.hosts.get("far"))
    asked(opened)
    ask.cancel()


@pytest.mark.parametrize(
    "content",
    [
        "text",
        b"garbage",
        b"\xc1" * 100,
        b"x" * (protocol.MOST_MESSAGE_BYTES + 1),
        b"\x91" * 5000,
        msgspec.msgpack.encode(protocol.Request(1, "GET", "/", [])),
        msgspec.msgpack.encode(protocol.Drop(1)),
        msgspec.msgpack.encode(protocol.Answer(99, 200, [])),
        msgspec.msgpack.encode(protocol.Answer(-1, 200, [])),
        msgspec.msgpack.encode(protocol.Answer(1, 99, [])),
        msgspec.msgpack.encode(protocol.Answer(1, 200, [("x\r\ny", "z")])),
        msgspec.msgpack.encode(protocol.Answer(1, 200, [("x", "y\r\nz: 1")])),
        msgspec.msgpack.encode(protocol.Answer(1, 200, [("x", "y")] * 101)),
        msgspec.msgpack.encode(protocol.AnswerBody(1, b"body without head", False)),
    ],
    ids=range(14),
)
def test_message_against_the_rules_ends_the_line(door: Door, content: str | bytes) -> None:
    opened = door.knock(door.joined())
    assert asked(opened).id == 1
    opened.send(content)
    code, reason = end_of(opened)
    assert code == protocol.BROKEN_RULES
    assert reason.startswith("the worker broke the rules of the line")
    wait_until(lambda: len(door.node.events("host.line_cut")) == 1, "the record of it")


def test_answer_without_end_is_given_up_and_the_line_goes_on(door: Door) -> None:
    opened = door.knock(door.joined())
    id_ = asked(opened).id
    sent(opened, protocol.Answer(id_, 200, []))
    room = protocol.WINDOW_BYTES
    while not isinstance(told := next_for(opened, id_) if room <= 0 else None, protocol.Drop):
        room += told.size if told else 0
        sent(opened, protocol.AnswerBody(id_, b"x" * protocol.PIECE_BYTES, True))
        room -= protocol.PIECE_BYTES
    wait_until(lambda: "too large" in door.node.hosts.get("far").state_reason, "the answer to be given up")
    ask = door.ask(door.node.hosts.get("far"))
    asked(opened)
    ask.cancel()


def test_answer_begun_twice_ends_the_line(door: Door) -> None:
    opened = door.knock(door.joined())
    id_ = asked(opened).id
    for _ in range(2):
        sent(opened, protocol.Answer(id_, 200, []))
    assert end_of(opened)[0] == protocol.BROKEN_RULES


def test_worker_that_opens_line_after_line_is_slowed_down(door: Door) -> None:
    token = door.joined()
    for _ in range(20):
        door.knock(token).close()
    assert door.refused(token) == 429
    door.node.clock.forward(61)
    asked(door.knock(token))


def test_late_answer_to_what_is_no_longer_wanted_is_harmless(door: Door) -> None:
    opened = door.knock(door.joined())
    first = asked(opened)
    ask = door.ask(door.node.hosts.get("far"))
    second = asked(opened)
    ask.cancel()
    sent(opened, protocol.Answer(second.id, 200, []))
    sent(opened, protocol.AnswerBody(second.id, b"late", False))
    sent(opened, protocol.Answer(first.id, 404, []))
    sent(opened, protocol.AnswerBody(first.id, b"", False))
    again = door.ask(door.node.hosts.get("far"))
    assert asked(opened).id > second.id
    again.cancel()


def test_worker_can_not_answer_what_another_was_asked(door: Door) -> None:
    honest, hostile = door.knock(door.joined("honest")), door.knock(door.joined("hostile"))
    asked(honest), asked(hostile)
    ask = door.ask(door.node.hosts.get("honest"))
    request = asked(honest)
    sent(hostile, protocol.Answer(request.id, 200, []))
    assert end_of(hostile)[0] == protocol.BROKEN_RULES
    assert not ask.done()
    sent(honest, protocol.Answer(request.id, 401, []))
    sent(honest, protocol.AnswerBody(request.id, b"", False))
    with pytest.raises(Unreachable, match="refuses the token"):
        ask.result(5)


def test_what_is_under_way_fails_when_the_line_is_cut(door: Door) -> None:
    opened = door.knock(door.joined())
    asked(opened)
    ask = door.ask(door.node.hosts.get("far"))
    asked(opened)
    opened.close()
    with pytest.raises(Unreachable, match="far: it broke off the connection"):
        ask.result(5)


def test_worker_without_a_line_is_told_since_when(door: Door) -> None:
    token = door.joined()
    node = door.node
    node.clock.forward(100)
    with pytest.raises(Unreachable, match="it has not dialled in since this master started at 2026-11-22"):
        door.ask(node.hosts.get("far")).result(10)
    door.knock(token).close()
    wait_until(lambda: bool(node.events("host.line_cut")), "the line to be cut")
    node.clock.forward(100)
    with pytest.raises(Unreachable, match=r"its line is cut since 2026-11-22 08:01:40 UTC"):
        door.ask(node.hosts.get("far")).result(10)


def test_call_waits_for_a_worker_that_is_expected_back(door: Door) -> None:
    token = door.joined()
    link = door.node.hosts.worker_link(door.node.hosts.get("far"))
    call = door.node.loop.submit(door.node.hosts.calls.call(link, "GET", "/history?limit=1"))
    opened = door.knock(token)
    assert {asked(opened).target, asked(opened).target} == {"/health", "/history?limit=1"}
    call.cancel()


def test_removed_worker_is_cut_and_not_let_in_again(door: Door) -> None:
    token = door.joined()
    opened = door.knock(token)
    door.node.hosts.remove_host(ADA, "far")
    assert end_of(opened)[0] == protocol.REVOKED
    assert door.refused(token) == 401


def test_removal_by_another_process_cuts_the_line(door: Door, tmp_path: Path) -> None:
    opened = door.knock(door.joined())
    with open_node(tmp_path / "home") as other:
        other.hosts.remove_host(ADA, "far")
    assert end_of(opened)[0] == protocol.REVOKED


def test_renamed_worker_keeps_its_line(door: Door) -> None:
    opened = door.knock(door.joined())
    asked(opened)
    host = door.node.hosts.get("far")
    changed = door.node.hosts.edit_host(ADA, "far", HostDraft("near", HostKind.WORKER))
    assert (changed.id, changed.place) == (host.id, "dials in")
    ask = door.ask(changed)
    asked(opened)
    ask.cancel()
