"""One command: its start, its output into files, and its end, whether or not a worker looks on."""

import os
import signal
import time

from quarterdeck.tasks.output.index_record import ERR, OUT
from quarterdeck.tasks.supervisor.record import Record
from quarterdeck.tasks.supervisor.spooled import Spooled
from quarterdeck.tasks.supervisor.tree import MARKER, Ending

_CHUNK_BYTES = 65536
_QUIET_SECONDS = 1.0
"""A process left in the background may hold the output open; it is listened to a little longer."""
_LEFT_OPEN_SECONDS = 10.0
_COLLECT_SECONDS = 1.0
_STEP_SECONDS = 0.05
_DEFAULTED = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
"""A command must not inherit what the supervisor ignores, nor what the shell did that started the worker."""


class Command:
    """Begun when it is made; raises OSError, ValueError or KeyError, and then it surely did not run."""

    def __init__(self, wanted: dict[str, object], records: str) -> None:
        self.id = str(wanted["id"])
        self._most, self._mark = int(str(wanted["output_bytes"])), str(wanted["mark"]).encode()
        self._limit = float(str(wanted["limit"]))
        self._spooled = Spooled(str(wanted["output"]))
        self._record = Record(f"{records}/{self.id}.json")
        self._status: int | None = None
        self._ended_at: float | None = None
        self._ending: Ending | None = None
        self._reason = self._detail = ""
        self._dropped = 0
        self.end: dict[str, object] | None = None
        self.pipes: dict[int, int] = {}
        """The descriptors that its output comes from, each with its stream."""
        try:
            self.pid = self._start(wanted)
        except BaseException:
            self._record.remove()
            raise
        self._began, self._heard_at = time.time(), time.monotonic()
        self._overdue_at = self._heard_at + self._limit if self._limit else None
        self._step_at = self._heard_at
        self._write_record()

    @property
    def has_exited(self) -> bool:
        return self._ended_at is not None

    def facts(self) -> dict[str, object]:
        """Return where it stands, as the worker and the record get to see it."""
        sizes = self._spooled.sizes
        return {
            "id": self.id,
            "pid": self.pid,
            "began": self._began,
            "out": sizes[OUT],
            "err": sizes[ERR],
            "end": self.end,
        }

    def read(self, pipe: int) -> bool:
        """Take what a pipe has, so that the command never waits; returns whether the pipe is at its end."""
        try:
            data = os.read(pipe, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not data:
            return True
        self._heard_at = time.monotonic()
        self._keep(self.pipes[pipe], data)
        return False

    def note_exit(self, status: int) -> None:
        self._status = os.waitstatus_to_exitcode(status)
        self._ended_at = time.monotonic()

    def wake_at(self) -> float | None:
        """Return when ``tick`` is due, or None when only the command itself can bring news."""
        if self.end is not None:
            return None
        if self._ending or self._ended_at is not None:
            return self._step_at
        return self._overdue_at

    def tick(self, now: float) -> bool:
        """Do what the time asks for; returns whether the command has ended with this."""
        if self.end is not None or (self.pipes and (due := self.wake_at()) is not None and now < due):
            return False
        if self._ended_at is None and self._overdue_at is not None and now >= self._overdue_at:
            self._stop("time")
        if self._ending and not self._ending.is_over:
            self._ending.step(now)
            if self._ending.is_over:
                self._heard_at = now
        self._step_at = now + _STEP_SECONDS
        if not self._is_done(now):
            return False
        self._conclude()
        return True

    def sync(self) -> None:
        """Have the end on the disk itself; a full one keeps it in memory and in the worker's hands."""
        try:
            self._record.sync()
        except OSError as error:
            self._detail = self._detail or str(error.strerror)

    def close(self) -> None:
        """Let go of all files; the record stays for the worker, which removes it once the end is its own."""
        for pipe in self.pipes:
            os.close(pipe)
        self.pipes.clear()
        self._spooled.close()
        self._record.close()

    def _start(self, wanted: dict[str, object]) -> int:
        out, err = os.pipe(), os.pipe()
        try:
            os.chdir(str(wanted["cwd"]))
            pid = os.posix_spawn(
                "/bin/sh",
                ["/bin/sh", "-c", str(wanted["command"])],
                dict(wanted["env"]) | {MARKER: self.id},  # type: ignore[call-overload]  # texts by the protocol
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, out[1], 1),
                    (os.POSIX_SPAWN_DUP2, err[1], 2),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=_DEFAULTED,
            )
        except BaseException:
            os.close(out[0])
            os.close(err[0])
            raise
        finally:
            os.chdir("/")
            os.close(out[1])
            os.close(err[1])
        self.pipes = {out[0]: OUT, err[0]: ERR}
        for pipe in self.pipes:
            os.set_blocking(pipe, False)
        return pid

    def _keep(self, stream: int, data: bytes) -> None:
        if self._reason in ("output", "disk", "cut"):
            self._dropped += len(data)
            return
        room = self._most - self._spooled.total - len(self._mark)
        try:
            if len(data) <= room:
                self._spooled.append(stream, data)
                return
            if room > 0:
                self._spooled.append(stream, data[:room])
            if self._mark:
                self._spooled.append(stream, self._mark)
        except OSError as error:
            self._stop("disk", str(error.strerror or error))
            return
        self._dropped += len(data) - max(room, 0)
        if self._mark:
            self._reason = self._reason or "cut"
        else:
            self._stop("output")

    def _stop(self, reason: str, detail: str = "") -> None:
        """End all of it; what it still prints is read and not kept, so that it can't wait for ever."""
        if self._ending is None:
            self._reason, self._detail = reason, detail
            self._ending = Ending(self.id, self.pid, time.monotonic())
            self._step_at = 0.0

    def _is_done(self, now: float) -> bool:
        if self._ending:
            has_all = self._ended_at is not None and not self.pipes
            return self._ending.is_over and (has_all or now - self._heard_at > _COLLECT_SECONDS)
        if self._ended_at is None:
            return False
        quiet = now - max(self._heard_at, self._ended_at) >= _QUIET_SECONDS
        return not self.pipes or quiet or now - self._ended_at >= _LEFT_OPEN_SECONDS

    def _conclude(self) -> None:
        self.end = {
            "status": self._status,
            "reason": self._reason,
            "detail": self._detail,
            "gone": self._ending.gone if self._ending else None,
            "left": bool(self.pipes),
            "dropped": self._dropped,
            "at": time.time(),
        }
        self._write_record()
        for pipe in self.pipes:
            os.close(pipe)
        self.pipes.clear()
        self._spooled.close()

    def _write_record(self) -> None:
        try:
            self._record.write(self.facts())
        except OSError as error:  # the worker hears of it all the same
            self._detail = self._detail or str(error.strerror)
