"""Which workers dial in: admits their lines, keeps one for each, and knows since when one is cut."""

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from quarterdeck.access.permissions import may
from quarterdeck.core.actors import NOBODY, SYSTEM, Actor, ActorKind
from quarterdeck.core.asgi import Message, Receive, Scope, Send, header, header_values, send_problem
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import (
    Busy,
    Conflict,
    Forbidden,
    Limited,
    QuarterdeckError,
    Unauthenticated,
)
from quarterdeck.core.limits import TryLimit, network_of
from quarterdeck.core.peer import peer_of
from quarterdeck.core.security import token_digest
from quarterdeck.history.service import History
from quarterdeck.hosts.line import Ending, Line
from quarterdeck.hosts.line_transport import NoLine
from quarterdeck.hosts.models import HostRecord
from quarterdeck.protocol.line import ENDED, REPLACED, REVOKED, SILENT, SUBPROTOCOL

logger = logging.getLogger(__name__)

RETURN_SECONDS: Final = 40
"""Within so long after a cut, or after this master's start, a worker is expected back."""
_ADMIT_SECONDS: Final = 5
_MOST_WAITING: Final = 64
_SWEEP_SECONDS: Final = 1
_CLOSE_SECONDS: Final = 1
_MINUTE: Final = 60
_MOST_A_MINUTE: Final = 20
_MOST_BEARER: Final = 512
_MOST_TOLD: Final = 512
_SCHEME: Final = "bearer "

Admit = Callable[[str], HostRecord]
"""From a bearer to the worker that may open a line with it; raises QuarterdeckError."""
Holders = Callable[[Collection[str]], Mapping[str, tuple[str, str]]]
"""From digests of tokens to the ids and names of the workers that hold them now."""
OnUp = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Cut:
    """When a line ended, and why."""

    at: datetime
    monotonic: float
    reason: str


class Lines:
    """An ASGI application for ``protocol.line.PATH``, and the book of open lines. Lives on the loop."""

    def __init__(
        self,
        history: History,
        clock: Clock,
        *,
        admit: Admit,
        holders: Holders,
        on_up: OnUp,
        trusted_proxies: int = 0,
    ) -> None:
        self._history, self._clock = history, clock
        self._admit, self._holders, self._on_up = admit, holders, on_up
        self._trusted_proxies = trusted_proxies
        self._lines: dict[str, Line] = {}
        self._cuts: dict[str, _Cut] = {}
        self._opened: dict[str, deque[float]] = {}
        self._waiting = 0
        self._arrival = asyncio.Event()
        self._looks: set[asyncio.Future[None]] = set()
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._refusals = TryLimit(clock)
        self._started: _Cut | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        address = peer_of(scope, self._trusted_proxies).address
        try:
            worker, digest = await self._admitted(scope)
            actor = Actor(ActorKind.NODE, worker.name, address, credential_id=worker.id)
            if not may(actor, "worker.dial", f"host:{worker.name}"):
                raise Forbidden(f"{worker.name} may not dial in here.")
        except QuarterdeckError as error:
            await self._note_refusal(address, error)
            await _refuse(scope, send, error)
            return
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        line = Line(
            worker.id,
            worker.name,
            digest,
            send=lambda content: send({"type": "websocket.send", "bytes": content}),
            abort=scope.get("extensions", {}).get("quarterdeck.abort", lambda: None),
        )
        await self._see_through(line, actor, receive, send)

    # --- the book ---

    @property
    def is_open(self) -> bool:
        """Tell whether lines come here at all; on the command line they don't."""
        return self._started is not None

    def __len__(self) -> int:
        return len(self._lines)

    async def line_of(self, host_id: str, seconds: float) -> Line:
        """Return the host's line, waiting up to so long for one that is due; raises NoLine."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            line = self._lines.get(host_id)
            if line is not None and not line.is_over:
                return line
            left = deadline - loop.time()
            if left <= 0 or not self._is_returning(host_id):
                raise NoLine(self._reason(host_id), is_returning=self._is_returning(host_id))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._arrival.wait()

    def cut(self, host_id: str, reason: str = "the host was removed or its token revoked") -> None:
        """End a worker's line at once, whatever is under way on it."""
        if line := self._lines.get(host_id):
            line.end(Ending(reason, REVOKED))

    async def sweep(self) -> None:
        """Cut the lines whose tokens no longer count, whoever revoked them and in which process."""
        lines = {line.digest: line for line in self._lines.values()}
        if not lines:
            return
        holders = await asyncio.to_thread(self._holders, list(lines))
        for digest, line in lines.items():
            host_id, name = holders.get(digest, ("", ""))
            if host_id == line.host_id:
                line.name = name
            else:
                self.cut(line.host_id)

    async def watch(self) -> None:
        """Take lines from now on, and look each second whether they may go on; until cancelled."""
        self._started = _Cut(self._clock.now(), self._clock.monotonic(), "")
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except Exception:
                logger.exception("looking after the lines of workers failed; it is tried again")

    async def stop(self) -> None:
        """End all lines: their workers dial again when the next master is there."""
        self._started = None
        for line in list(self._lines.values()):
            line.end(Ending("this master ended", ENDED))

    # --- one line ---

    async def _admitted(self, scope: Scope) -> tuple[HostRecord, str]:
        """Return who may have a line, with the digest of what it showed; raises QuarterdeckError."""
        if header_values(scope, b"origin"):
            raise Forbidden("A worker's line is not for browsers.")
        if SUBPROTOCOL not in scope.get("subprotocols", ()):
            raise Conflict(f"This master speaks {SUBPROTOCOL}; update the older of the two.")
        given = header(scope, b"authorization")
        bearer = given[len(_SCHEME) :].strip()
        if not given.lower().startswith(_SCHEME) or not 0 < len(bearer) <= _MOST_BEARER:
            raise Unauthenticated("A worker shows its token as: Authorization: Bearer TOKEN")
        if not self.is_open or self._waiting >= _MOST_WAITING:
            raise Busy("Too many workers dial in at this moment; try again soon.")
        self._waiting += 1
        try:
            async with asyncio.timeout(_ADMIT_SECONDS):
                worker = await asyncio.to_thread(self._admit, bearer)
            self._count(worker)
            return worker, token_digest(bearer)
        except TimeoutError as error:
            raise Busy("The list of hosts did not answer in time; try again soon.") from error
        finally:
            self._waiting -= 1

    def _count(self, worker: HostRecord) -> None:
        """Slow a worker down that opens line after line: each one is two records and a look."""
        now = self._clock.monotonic()
        opened = self._opened.setdefault(worker.id, deque(maxlen=_MOST_A_MINUTE))
        if len(opened) == _MOST_A_MINUTE and now - opened[0] < _MINUTE:
            raise Limited("This worker opens lines too often; look why they end.", retry_after=_MINUTE)
        opened.append(now)

    async def _see_through(self, line: Line, actor: Actor, receive: Receive, send: Send) -> None:
        older = self._lines.get(line.host_id)
        self._lines[line.host_id] = line
        self._cuts.pop(line.host_id, None)
        if older is not None:
            older.end(Ending("a newer line of the same worker took over", REPLACED))
        arrival, self._arrival = self._arrival, asyncio.Event()
        arrival.set()
        ending = Ending("this master ended", ENDED)
        try:
            await self._record(actor, "host.line_up" if older is None else "host.line_replaced", line)
            look = asyncio.ensure_future(self._look(line))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)
            ending = await line.serve(receive)
            await _close(line, send, ending)
        finally:
            await self._take_down(line, ending)

    async def _take_down(self, line: Line, ending: Ending) -> None:
        if self._lines.get(line.host_id) is not line:
            return  # a newer one took over, which is on record
        del self._lines[line.host_id]
        if ending.code != REVOKED:
            self._cuts[line.host_id] = _Cut(self._clock.now(), self._clock.monotonic(), ending.reason)
        if self.is_open:
            await self._record(SYSTEM, "host.line_cut", line, reason=ending.reason)

    async def _look(self, line: Line) -> None:
        """Ask a worker how it is as soon as its line is there; the watch over all hosts would do it later."""
        try:
            await self._on_up(line.host_id)
        except QuarterdeckError as error:
            logger.info("%s dialled in but could not be asked: %s", line.name, error.message)

    async def _record(self, actor: Actor, action: str, line: Line, **detail: str) -> None:
        detail["host"] = line.name
        try:
            await self._history.event_async(actor, action, f"host:{line.name}", detail=detail)
        except Busy as error:  # a line is worth more than its record: over it, work is cancelled
            logger.error("%s of %s is not in the history: %s", action, line.name, error.message)

    async def _note_refusal(self, address: str, error: QuarterdeckError) -> None:
        """Put a refused line on record, once for each network and reason, and a flood only in part."""
        logger.info("a worker's line from %s is refused: %s", address, error.message)
        key = (network_of(address), error.message)
        if isinstance(error, Busy) or key in self._told or self._refusals.take(address):
            return
        self._told[key] = None
        if len(self._told) > _MOST_TOLD:
            self._told.popitem(last=False)
        actor = Actor(ActorKind.NOBODY, NOBODY.name, address=address)
        try:
            await self._history.event_async(
                actor, "host.line_refused", "hosts", detail={"reason": error.message}
            )
        except Busy as busy:
            logger.error("a refused line is not in the history: %s", busy.message)

    def _is_returning(self, host_id: str) -> bool:
        last = self._cuts.get(host_id) or self._started
        return last is not None and self._clock.monotonic() - last.monotonic < RETURN_SECONDS

    def _reason(self, host_id: str) -> str:
        if cut := self._cuts.get(host_id):
            return f"its line is cut since {cut.at:%Y-%m-%d %H:%M:%S} UTC: {cut.reason}"
        since = f" at {self._started.at:%Y-%m-%d %H:%M:%S} UTC" if self._started else ""
        return f"it has not dialled in since this master started{since}"


async def _close(line: Line, send: Send, ending: Ending) -> None:
    """Say why the line ends; a peer that is dead or takes nothing any more is cut off."""
    if ending.code == SILENT:
        line.abort()
        return
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await send({"type": "websocket.close", "code": ending.code, "reason": ending.reason[:120]})
    except (OSError, RuntimeError, TimeoutError):
        line.abort()


async def _refuse(scope: Scope, send: Send, error: QuarterdeckError) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return

    async def as_refusal(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await send_problem(as_refusal, error)
