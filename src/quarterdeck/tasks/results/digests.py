"""The hash of each stream of a part that has ended, so that equal output of many hosts is known as equal.

Hashing happens in a thread, whatever gathered while the last batch was under way at once: a run on 1,000
hosts ends within seconds, and a thread for each would cost more than the hashing.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import or_, select

from quarterdeck.core.db import Database
from quarterdeck.core.errors import NotFound
from quarterdeck.tasks.dispatch.host_run import HostRun
from quarterdeck.tasks.dispatch.recorder import Recorder
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.models import RunHost
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.states import TERMINAL

logger = logging.getLogger(__name__)

_GATHER_SECONDS: Final = 0.01
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class _Part:
    run_id: str
    host_id: str
    name: str


class Digests:
    """Hashes what has ended and has it stored. Lives on the loop."""

    def __init__(self, db: Database, output: OutputStore, recorder: Recorder) -> None:
        self._db, self._output, self._recorder = db, output, recorder
        self._waiting: list[_Part] = []
        self._at_work: list[_Part] = []
        self._turn = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def note(self, part: HostRun) -> None:
        """Take in that a host's part has ended; its output does not grow any more."""
        self._add([_Part(part.job.run_id, part.host.id, part.host.name)])

    async def catch_up(self, run_id: str) -> None:
        """Take in the parts of a run that have ended without: the last master was killed meanwhile."""
        self._add(await asyncio.to_thread(self._without, run_id))

    async def settle(self, run_id: str) -> None:
        """Wait until everything noted of a run is hashed, and its storing is noted."""
        while any(part.run_id == run_id for part in (*self._waiting, *self._at_work)):
            await self._turn.wait()

    def _add(self, parts: Iterable[_Part]) -> None:
        self._waiting.extend(parts)
        if self._waiting and self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(_GATHER_SECONDS)
            self._at_work, self._waiting = self._waiting, []
            try:
                for part, (out, err) in await asyncio.to_thread(self._hash, self._at_work):
                    self._recorder.note_host(part.run_id, part.host_id, out_hash=out, err_hash=err)
            except Exception:  # the top of a loop that must go on: the ends of runs wait for it
                logger.exception("the output of %d parts of runs is not hashed", len(self._at_work))
            self._at_work = []
            turn, self._turn = self._turn, asyncio.Event()
            turn.set()
        self._worker = None

    def _hash(self, parts: list[_Part]) -> list[tuple[_Part, tuple[str, str]]]:
        """Return the hashes of the parts that have any output."""
        found = []
        for part in parts:
            try:
                hashes = hashes_of(self._output, part.run_id, part.name)
            except OSError as error:
                logger.warning(
                    "the output of run %s on %s can't be read back: %s", part.run_id, part.name, error
                )
                continue
            if any(hashes):
                found.append((part, hashes))
        return found

    def _without(self, run_id: str) -> list[_Part]:
        query = select(RunHost.host_id, RunHost.name).where(
            RunHost.run_id == run_id,
            RunHost.state.in_([str(state) for state in TERMINAL]),
            or_(
                (RunHost.out_bytes > 0) & (RunHost.out_hash == ""),
                (RunHost.err_bytes > 0) & (RunHost.err_hash == ""),
            ),
        )
        with self._db.read() as session:
            return [_Part(run_id, host_id, name) for host_id, name in session.execute(query)]


def hashes_of(output: OutputStore, run_id: str, name: str) -> tuple[str, str]:
    """Return the hashes of both streams, each empty for a stream without a byte; raises OSError."""
    try:
        out, err = (_digest_of(output.path(run_id, name, stream)) for stream in (Stream.OUT, Stream.ERR))
    except NotFound:
        return "", ""  # a name from before names were checked: there are no files
    return out, err


def new_digest() -> hashlib.blake2b:
    """Return the hash that outputs are compared by, with nothing in it yet."""
    return hashlib.blake2b(digest_size=_DIGEST_BYTES)


def _digest_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                return ""
            file.seek(0)
            return hashlib.file_digest(file, new_digest).hexdigest()  # in blocks, however large it is
    except FileNotFoundError:
        return ""
