"""A worker that dials out: keeps one line open to its master, and opens it again whenever it is cut."""

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Final, NoReturn

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from quarterdeck import __version__
from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.asgi import App
from quarterdeck.core.errors import Busy, Forbidden, QuarterdeckError, Unreachable
from quarterdeck.core.pinning import WrongCertificate, tls_context
from quarterdeck.history.service import History
from quarterdeck.hosts.master_link import detail_of, wrong_certificate
from quarterdeck.hosts.membership import Member, Membership
from quarterdeck.protocol import line as protocol
from quarterdeck.tasks.worker.line_answers import BrokenRules, LineAnswers

logger = logging.getLogger(__name__)
_library_logger = logging.getLogger(f"{__name__}.library")
_library_logger.setLevel(logging.ERROR)  # below that it writes headers, and with them the token

LONGEST_PAUSE: Final = 25.0
"""So that after the master's return all workers are back within 30 s."""
_REFUSED_PAUSE: Final = 60.0
_OPEN_SECONDS: Final = 10
_SETTLE_SECONDS: Final = 0.5
_CLOSE_SECONDS: Final = 0.25
_STEADY_SECONDS: Final = 30
_MOST_WAITING: Final = 16


class Refused(Forbidden):
    """The master answers, but wants no line of this worker; or what answers is not the master."""


class _Connect(connect):
    """Follows no redirect: the token goes to the master and to nobody else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class DialOut:
    """Lives on the worker's loop, from ``start`` to ``stop``. ``app`` is what answers the master."""

    def __init__(self, membership: Membership, history: History, app: App) -> None:
        self._membership, self._history, self._app = membership, history, app
        self._connection: ClientConnection | None = None
        self._answers: LineAnswers | None = None
        self._running: asyncio.Task[None] | None = None
        self._told = ""
        """What was last put on record of the line: only changes are."""

    async def start(self) -> None:
        self._running = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End the line once the answers under way are out, or after a moment."""
        if self._answers is not None:
            await self._answers.settle(_SETTLE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self._connection is not None:
                    await self._connection.close(protocol.ENDED, "it was stopped")
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        loop, tries = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            try:
                await self._keep_line()
            except QuarterdeckError as error:
                await self._note("line.refused" if isinstance(error, Refused) else "line.cut", error.message)
                is_refused = isinstance(error, Refused)
            except Exception:
                logger.exception("the line to the master failed; it is opened again")
                is_refused = False
            tries = 0 if loop.time() - began > _STEADY_SECONDS else tries + 1
            await asyncio.sleep(_pause(tries, is_refused=is_refused))

    async def _keep_line(self) -> None:
        """Open the line and serve it to its end; raises Unreachable or Refused with the reason of it."""
        member = self._membership.current()
        if member is None:
            raise Refused(
                "This worker knows no master; let it join by a code: quarterdeck worker --join CODE."
            )
        async with _opened(member) as connection:
            await self._note("line.up", member.master_url)
            address = str((connection.remote_address or ("",))[0])
            answers = LineAnswers(self._app, lambda content: send(connection, content), address)
            self._connection, self._answers = connection, answers
            try:
                await _Serving(connection, answers).run()
            finally:
                answers.leave()
                self._connection = self._answers = None

    async def _note(self, action: str, told: str) -> None:
        """Put a change of the line on record: it is up, it was cut, or it is refused."""
        if action == self._told or (action == "line.cut" and self._told == "line.refused"):
            logger.info("still no line to the master: %s", told)
            return
        self._told = action
        logger.log(logging.INFO if action == "line.up" else logging.WARNING, "%s: %s", action, told)
        try:
            detail = {"master_url" if action == "line.up" else "reason": told}
            await self._history.event_async(SYSTEM, action, "node:master", detail=detail)
        except Busy as error:  # the line is worth more than its record: over it, work is cancelled
            logger.error("%s is not in the history: %s", action, error.message)


@asynccontextmanager
async def _opened(member: Member) -> AsyncIterator[ClientConnection]:
    """Open the line; raises Unreachable or Refused, also for what ends it later."""
    url = f"ws{member.master_url.removeprefix('http')}{protocol.PATH}"
    try:
        async with _Connect(
            url,
            additional_headers={"Authorization": f"Bearer {member.token}"},
            subprotocols=[Subprotocol(protocol.SUBPROTOCOL)],
            user_agent_header=f"Quarterdeck/{__version__}",
            compression=None,
            proxy=None,
            ssl=tls_context(member.pin) if url.startswith("wss:") else None,
            open_timeout=_OPEN_SECONDS,
            close_timeout=1,
            ping_interval=None,  # beats on the line itself are heard by both applications
            max_size=protocol.MOST_MESSAGE_BYTES,
            max_queue=_MOST_WAITING,
            logger=_library_logger,
        ) as connection:
            if connection.subprotocol != protocol.SUBPROTOCOL:
                raise Refused("What answers at the master's address does not know workers that dial in.")
            yield connection
    except WrongCertificate as error:
        raise Refused(wrong_certificate(error)) from error
    except InvalidStatus as error:
        raise _refusal(error.response.status_code, bytes(error.response.body or b"")) from error
    except (OSError, TimeoutError, WebSocketException) as error:
        raise Unreachable(_reason(error)) from error


class _Serving:
    """One open line, from its first message to its end."""

    def __init__(self, connection: ClientConnection, answers: LineAnswers) -> None:
        self._connection, self._answers = connection, answers
        self._heard = 0

    async def run(self) -> NoReturn:
        """Answer until the line ends; raises Unreachable or Refused with the reason of its end."""
        beating = asyncio.ensure_future(self._beat())
        try:
            while True:
                message = await self._connection.recv()
                self._heard += 1
                self._answers.take(message)
        except ConnectionClosed as error:
            raise _ending(error) from error
        except BrokenRules as error:
            await self._connection.close(protocol.BROKEN_RULES, error.message)
            raise
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        """Say and hear signs of life. Beats are counted, not seconds: this process may have been halted."""
        silent, heard = 0, self._heard
        saying: asyncio.Task[None] | None = None
        while silent < protocol.SILENT_BEATS:
            if saying is None or saying.done():  # else the line takes nothing just now, and that says enough
                saying = asyncio.get_running_loop().create_task(self._say_beat())
            await asyncio.sleep(protocol.BEAT_SECONDS)
            silent = silent + 1 if heard == self._heard else 0
            heard = self._heard
        self._connection.transport.abort()

    async def _say_beat(self) -> None:
        try:
            await send(self._connection, msgspec.msgpack.encode(protocol.Beat()))
        except OSError as error:
            logger.debug("the line ended before a beat was out: %s", error)


async def send(connection: ClientConnection, content: bytes) -> None:
    """Write one message; raises OSError when the line has ended."""
    try:
        await connection.send(content)
    except ConnectionClosed as error:
        raise ConnectionResetError("the line has ended") from error


def _pause(tries: int, *, is_refused: bool) -> float:
    """Return how long to wait; with jitter, so that not all workers come back at once."""
    if is_refused:
        return random.uniform(_REFUSED_PAUSE / 2, _REFUSED_PAUSE)  # noqa: S311 - jitter, not a secret
    return random.uniform(1, min(LONGEST_PAUSE, 2.0 ** min(tries + 1, 6)))  # noqa: S311 - as above


def _ending(error: ConnectionClosed) -> QuarterdeckError:
    close = error.rcvd
    if close is None:
        return Unreachable("The line broke off.")
    if close.code == protocol.REVOKED:
        return Refused("The master cut the line: this worker was removed there, or its token revoked.")
    if close.code == protocol.REPLACED:
        return Refused("Another line with this worker's token took over. Were its keys copied to a machine?")
    reason = close.reason if close.reason.isprintable() else ""
    return Unreachable(f"The master closed the line{f': {reason}' if reason else ''}.")


def _refusal(status: int, body: bytes) -> QuarterdeckError:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        return Unreachable(f"The master can't take the line now{detail_of(body)}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT):
        return Refused(f"The master refuses the line{detail_of(body)}")
    return Refused(f"What answers at the master's address takes no lines of workers ({status}).")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The master's certificate is not trusted ({error.verify_message})."
    if isinstance(error, ssl.SSLError):
        return f"The master's certificate or TLS is not accepted ({error.reason})."
    if isinstance(error, TimeoutError):
        return f"The master did not answer within {_OPEN_SECONDS} s."
    if isinstance(error, OSError):
        return f"The master can't be reached: {error.strerror or type(error).__name__}."
    return f"The line can't be opened: {type(error).__name__}."
