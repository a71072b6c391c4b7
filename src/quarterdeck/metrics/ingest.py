"""Where the heartbeats of workers arrive: a bare ASGI route, for a thousand of them come every 15 seconds.

Who it is comes from the worker's own token alone, never from what the message says. A heartbeat leaves no
line in the history: it would be the most of it.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from quarterdeck.access.permissions import may
from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.asgi import Receive, Scope, Send, header, send_problem
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import (
    Busy,
    Forbidden,
    Invalid,
    Limited,
    QuarterdeckError,
    TooLarge,
    Unauthenticated,
)
from quarterdeck.core.peer import peer_of
from quarterdeck.core.security import token_digest
from quarterdeck.history.service import History
from quarterdeck.hosts.service import Hosts
from quarterdeck.metrics.attention import Attention
from quarterdeck.metrics.cleaning import cleaned
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.sampling.heartbeat import KEPT_SECONDS
from quarterdeck.protocol.samples import MEDIA_TYPE, Heartbeat, HeartbeatAnswer

logger = logging.getLogger(__name__)

OnHeartbeat = Callable[[str, Heartbeat, float], None]
"""Is told of each heartbeat: the host's id, what it said, within limits, and when it came (since 1970)."""
OnBadBearer = Callable[[str, str], None]
"""Puts on record a bearer that is no worker's, with the address it came from; called in a thread."""

MOST_BODY_BYTES: Final = 256 * 1024
_MOST_ALL_BYTES: Final = 32 * 1024 * 1024
_BODY_SECONDS: Final = 10.0
_SWEEP_SECONDS: Final = 2.0
_MOST_LOOKUPS: Final = 64
_MOST_REFUSED: Final = 4096
_REFUSED_SECONDS: Final = 10.0
_MOST_BEARER: Final = 512
_SCHEME: Final = "bearer "
_BURST: Final = 20.0
_A_SECOND: Final = 5.0
"""Heartbeats of one worker: more than it ever sends, also when it catches up."""
_OLDEST_SECONDS: Final = KEPT_SECONDS + 60
_OK_HEADERS: Final = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]
_decoder: Final = msgspec.msgpack.Decoder(Heartbeat)
_encoder: Final = msgspec.msgpack.Encoder()


class WrongMethod(QuarterdeckError):
    """Heartbeats are posted."""

    status = 405
    title = "Not this method"


@dataclass(slots=True)
class _Peer:
    """A worker whose token is known to count, and where its heartbeats stand."""

    digest: str
    host_id: str
    name: str
    is_sending: bool = False
    left: float = _BURST
    refilled: float = 0.0


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a request shows of itself."""

    bearer: str
    digest: str
    address: str


class Ingest:
    """The ASGI application for ``HEARTBEAT_PATH``; lives on the loop."""

    def __init__(
        self,
        hosts: Hosts,
        history: History,
        fleet: Fleet,
        attention: Attention,
        clock: Clock,
        *,
        on_bad_bearer: OnBadBearer,
        trusted_proxies: int = 0,
    ) -> None:
        self._hosts, self._history, self._fleet, self._attention = hosts, history, fleet, attention
        self._clock, self._on_bad_bearer, self._trusted_proxies = clock, on_bad_bearer, trusted_proxies
        self._peers: dict[str, _Peer] = {}
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._places: dict[str, tuple[str, int]] = {}
        self._listeners: list[OnHeartbeat] = []
        self._lookups, self._bytes = 0, 0
        self.taken, self.refused = 0, 0
        """How many heartbeats were taken and refused since the start."""
        hosts.changes.listen(self._note_changed)

    def on_heartbeat(self, listener: OnHeartbeat) -> None:
        """Have this told of each heartbeat, on the loop; it must be quick."""
        self._listeners.append(listener)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] != "POST":
                raise WrongMethod("Heartbeats are posted.")
            answer = await self._answer(scope, receive)
        except QuarterdeckError as error:
            self.refused += 1
            # What is left of the body is not read: the connection ends with the answer.
            await send_problem(send, error, connection=b"close")
            return
        self.taken += 1
        body = _encoder.encode(answer)
        headers = [*_OK_HEADERS, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def watch(self) -> None:
        """Look every two seconds whose tokens still count, whoever revoked them; until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except Exception:
                logger.exception("looking after the tokens of workers failed; it is tried again")

    async def sweep(self) -> None:
        """Forget the workers whose tokens no longer count, and take in new names."""
        if not self._peers:
            return
        holders = await asyncio.to_thread(self._hosts.list.holders_of, list(self._peers))
        for digest, peer in list(self._peers.items()):
            host_id, name = holders.get(digest, ("", ""))
            if host_id == peer.host_id:
                peer.name = name
            else:
                self._peers.pop(digest, None)
                self._places.pop(peer.host_id, None)

    # --- who it is ---

    async def _peer(self, shown: _Shown) -> _Peer:
        """Return the worker behind a token; raises Unauthenticated, Forbidden or Busy."""
        return self._peers.get(shown.digest) or await self._look_up(shown)

    async def _look_up(self, shown: _Shown) -> _Peer:
        if self._refused.get(shown.digest, 0.0) > self._clock.monotonic():
            raise Unauthenticated("This token is not one of a worker here: it was removed or revoked.")
        if self._lookups >= _MOST_LOOKUPS:
            raise Busy("Too many workers come back at this moment; try again soon.")
        self._lookups += 1
        try:
            # Not the whole host: after a restart a thousand workers are looked up within seconds.
            holders = await asyncio.to_thread(self._hosts.list.holders_of, [shown.digest])
            host_id, name = holders.get(shown.digest, ("", ""))
            if not host_id:
                await asyncio.to_thread(self._on_bad_bearer, shown.bearer, shown.address)
        finally:
            self._lookups -= 1
        if not host_id:
            self._refused[shown.digest] = self._clock.monotonic() + _REFUSED_SECONDS
            if len(self._refused) > _MOST_REFUSED:
                self._refused.popitem(last=False)
            raise Unauthenticated("This token is not one of a worker here: it was removed or revoked.")
        actor = Actor(ActorKind.NODE, name, shown.address, credential_id=host_id)
        if not may(actor, "worker.report", f"host:{name}"):
            raise Forbidden(f"{name} may not report here.")
        now = self._clock.monotonic()
        return self._peers.setdefault(shown.digest, _Peer(shown.digest, host_id, name, refilled=now))

    def _note_changed(self, host_ids: Iterable[str]) -> None:
        """Have the tokens of changed hosts looked up anew: perhaps they were revoked. From any thread."""
        changed = set(host_ids)
        for digest, peer in list(self._peers.items()):
            if peer.host_id in changed:
                self._peers.pop(digest, None)

    # --- what it says ---

    async def _answer(self, scope: Scope, receive: Receive) -> HeartbeatAnswer:
        shown = _shown(scope, self._trusted_proxies)
        peer = await self._peer(shown)
        self._count(peer)
        peer.is_sending = True
        try:
            body = await self._body(scope, receive)
        finally:
            peer.is_sending = False
        # Once more: it may have been revoked while it was sending.
        return self._take(await self._peer(shown), _decoded(body))

    def _take(self, peer: _Peer, beat: Heartbeat) -> HeartbeatAnswer:
        received = self._clock.now().timestamp()
        self._history.note_witness(peer.name, beat.head, beat.seq)
        wants_full = self._has_gap(peer.host_id, beat)
        wants_full |= self._put(peer.host_id, beat, received)
        for listener in self._listeners:
            try:
                listener(peer.host_id, beat, received)
            except Exception:
                logger.exception("a listener failed on a heartbeat of %s", peer.name)
        interval = self._attention.interval_of(peer.host_id)
        return HeartbeatAnswer(interval_seconds=interval, heartbeat_seconds=interval, wants_full=wants_full)

    def _count(self, peer: _Peer) -> None:
        """Raise Limited for a worker that sends too often, or a second one before the first is through."""
        now = self._clock.monotonic()
        peer.left = min(_BURST, peer.left + (now - peer.refilled) * _A_SECOND)
        peer.refilled = now
        if peer.is_sending or peer.left < 1:
            raise Limited("This worker sends heartbeats too often.", retry_after=1)
        peer.left -= 1

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read the body; raises TooLarge, Busy or Invalid."""
        length = header(scope, b"content-length")
        if length.isdecimal() and (len(length) > 9 or int(length) > MOST_BODY_BYTES):
            raise TooLarge(f"A heartbeat has at most {MOST_BODY_BYTES // 1024} KB.")
        content, more = b"", True
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Invalid({"body": "The heartbeat was not whole."})
                    piece = message.get("body", b"")
                    self._bytes += len(piece)
                    content += piece
                    more = message.get("more_body", False)
                    if len(content) > MOST_BODY_BYTES:
                        raise TooLarge(f"A heartbeat has at most {MOST_BODY_BYTES // 1024} KB.")
                    if self._bytes > _MOST_ALL_BYTES:
                        raise Busy("Too much arrives at this moment; try again soon.")
        except TimeoutError as error:
            raise Invalid({"body": f"The heartbeat was not whole within {_BODY_SECONDS:g} s."}) from error
        finally:
            self._bytes -= len(content)
        return content

    def _has_gap(self, host_id: str, beat: Heartbeat) -> bool:
        """Tell whether deltas were missed between the heartbeat before and this one."""
        start, number = self._places.get(host_id, ("", 0))
        self._places[host_id] = (beat.start, beat.number)
        is_next = (beat.start, beat.number) == (start, number + 1)
        return not is_next and bool(beat.frames) and not beat.frames[0].is_full

    def _put(self, host_id: str, beat: Heartbeat, received: float) -> bool:
        """Put the samples into the fleet by this master's clock; tells whether a full one is missing."""
        if beat.facts is not None:
            self._fleet.take_facts(host_id, beat.facts)
        wants_full = False
        for frame in beat.frames:
            age = max(0.0, beat.sent_at - frame.at)
            if age <= _OLDEST_SECONDS:
                is_taken = self._fleet.take(
                    host_id, frame, at=received - age, interval_seconds=beat.interval_seconds
                )
                wants_full |= not is_taken
        now = self._fleet.now(host_id)
        return wants_full or now is None or now.facts is None


def _shown(scope: Scope, trusted_proxies: int) -> _Shown:
    """Return the token of a request and where it came from; raises Unauthenticated for none."""
    given = header(scope, b"authorization")
    bearer = given[len(_SCHEME) :].strip()
    if not given.lower().startswith(_SCHEME) or not 0 < len(bearer) <= _MOST_BEARER:
        raise Unauthenticated("A worker shows its token as: Authorization: Bearer TOKEN")
    return _Shown(bearer, token_digest(bearer), peer_of(scope, trusted_proxies).address)


def _decoded(body: bytes) -> Heartbeat:
    try:
        return cleaned(_decoder.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise Invalid({"body": f"This is not a heartbeat: {str(error)[:200]}"}) from error
