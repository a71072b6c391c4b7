"""The supervisor's loop: one worker at a time over a socket that only its own account can reach.

Both sides send JSON, a message a line, and pass over members that they don't know. The worker sends
``{"do": "start", "id", "command", "cwd", "env", "limit", "output", "output_bytes", "mark"}``,
``{"do": "forget", "id"}``, and ``{"do": "leave"}`` before it hangs up for long. The supervisor greets with
``{"say": "hello", "speaks", "tasks"}``, answers a start that failed with
``{"say": "refused", "id", "errno", "reason"}``, and tells each task's ``Command.facts`` as
``{"say": "task", "task"}``, at its start, its end and whenever there is more output.
"""

import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time

from quarterdeck.tasks.supervisor.command import Command

SPEAKS = 1
_LONGEST_LINE = 16_000_000
_TELL_SECONDS = 0.02
_ALONE_SECONDS = 2.0
"""How long it waits for a first or next worker when no command runs."""


class _Peer:
    """The worker's end of the socket; what it does not read yet waits here, and never grows."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.received = b""
        self.unsent = b""

    def send(self, message: dict[str, object]) -> None:
        self.unsent += json.dumps(message).encode() + b"\n"

    def flush(self) -> None:
        """Send what can be sent at once; raises OSError when nobody is there any more."""
        while self.unsent:
            try:
                self.unsent = self.unsent[self.connection.send(self.unsent) :]
            except BlockingIOError:
                return

    def lines(self) -> list[bytes] | None:
        """Return the whole lines that have come; None at the end, or when it is no worker that speaks."""
        try:
            data = self.connection.recv(262_144)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data or len(self.received) > _LONGEST_LINE:
            return None
        *lines, self.received = (self.received + data).split(b"\n")
        return lines


class Supervisor:
    """Runs until no command is under way and no worker is connected."""

    def __init__(self, listener: socket.socket, records: str, wakeup: int) -> None:
        self._records = records
        self._commands: dict[str, Command] = {}
        self._peer: _Peer | None = None
        self._news: set[str] = set()
        self._is_urgent = self._is_left = False
        self._told_at = self._alone_since = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._listener, self._wakeup = listener, wakeup
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(wakeup, selectors.EVENT_READ)

    def run(self) -> None:
        while not self._is_idle():
            ready = {key.fd for key, _ in self._selector.select(self._timeout())}
            # A new worker first: what the last one asked for and was not read yet never begins.
            if self._listener.fileno() in ready:
                self._greet()
            elif self._peer and self._peer.connection.fileno() in ready:
                self._hear(self._peer)
            self._read(ready)
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
            self._reap()
            self._tick(time.monotonic())
            self._tell(time.monotonic())

    def _is_idle(self) -> bool:
        if self._peer or any(command.end is None for command in self._commands.values()):
            return False
        return time.monotonic() - self._alone_since >= _ALONE_SECONDS

    def _timeout(self) -> float | None:
        times = [at for command in self._commands.values() if (at := command.wake_at()) is not None]
        if self._peer is None and all(command.end for command in self._commands.values()):
            times.append(self._alone_since + _ALONE_SECONDS)
        if self._peer and self._news and not self._peer.unsent:
            times.append(self._told_at + _TELL_SECONDS)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _greet(self) -> None:
        """Take a new worker in the last one's place."""
        try:
            connection = self._listener.accept()[0]
        except OSError:
            return  # it has gone again, or there are too many open files; it comes back
        self._drop_peer()
        self._peer, self._is_left = _Peer(connection), False
        self._selector.register(connection, selectors.EVENT_READ)
        tasks = [command.facts() for command in self._commands.values()]
        self._peer.send({"say": "hello", "speaks": SPEAKS, "tasks": tasks})
        self._news.clear()

    def _drop_peer(self) -> None:
        if self._peer:
            self._selector.unregister(self._peer.connection)
            self._peer.connection.close()
            self._peer = None
            self._alone_since = time.monotonic() - (_ALONE_SECONDS if self._is_left else 0)

    def _hear(self, peer: _Peer) -> None:
        lines = peer.lines()
        if lines is None:
            self._drop_peer()
            return
        for message in filter(None, map(_message, lines)):
            if message.get("do") == "start":
                self._start(peer, message)
            elif message.get("do") == "forget":
                self._forget(str(message.get("id")))
            elif message.get("do") == "leave":
                self._is_left = True

    def _start(self, peer: _Peer, wanted: dict[str, object]) -> None:
        id_ = str(wanted.get("id"))
        try:
            command = Command(wanted, self._records)
        except (OSError, ValueError, KeyError, TypeError) as error:
            number = error.errno if isinstance(error, OSError) else None
            reason = getattr(error, "strerror", None) or str(error)
            peer.send({"say": "refused", "id": id_, "errno": number, "reason": reason})
            return
        self._commands[id_] = command
        for pipe in command.pipes:
            self._selector.register(pipe, selectors.EVENT_READ, command)
        self._note(command, is_urgent=True)

    def _forget(self, id_: str) -> None:
        """Drop a command: its end is in the worker's hands, or the worker has given it up."""
        if command := self._commands.pop(id_, None):
            self._release(command)
            command.close()
            self._news.discard(id_)

    def _release(self, command: Command) -> None:
        for pipe in command.pipes:
            self._selector.unregister(pipe)

    def _read(self, ready: set[int]) -> None:
        for command in list(self._commands.values()):
            for pipe in [pipe for pipe in command.pipes if pipe in ready]:
                if command.read(pipe):
                    self._selector.unregister(pipe)
                    del command.pipes[pipe]
                    os.close(pipe)
                self._note(command)

    def _reap(self) -> None:
        """Collect every child that has ended, also those of commands that were given up."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for command in self._commands.values():
                if command.pid == pid and not command.has_exited:
                    command.note_exit(status)

    def _tick(self, now: float) -> None:
        for command in list(self._commands.values()):
            pipes = list(command.pipes)
            if command.tick(now):
                for pipe in pipes:
                    self._selector.unregister(pipe)
                self._note(command, is_urgent=True)
                self._tell(now)
                command.sync()  # after the worker was told, which puts the end on disk too

    def _note(self, command: Command, *, is_urgent: bool = False) -> None:
        self._news.add(command.id)
        self._is_urgent |= is_urgent

    def _tell(self, now: float) -> None:
        """Send what is new, often enough for people; while the worker does not read, news only gather."""
        peer = self._peer
        if peer is None:
            return
        is_due = self._is_urgent or now - self._told_at >= _TELL_SECONDS
        if self._news and is_due and not peer.unsent:
            for id_ in self._news:
                peer.send({"say": "task", "task": self._commands[id_].facts()})
            self._news.clear()
            self._is_urgent, self._told_at = False, now
        try:
            peer.flush()
        except OSError:
            self._drop_peer()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.unsent else 0)
        self._selector.modify(peer.connection, wanted)


def _message(line: bytes) -> dict[str, object]:
    """Return what a line says; nothing for what no worker would send."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def serve(folder: str) -> None:
    """Hold the folder's lock, listen there and run; returns at once when another supervisor holds it."""
    os.chdir(folder)
    lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    records = os.path.join(folder, "tasks")  # noqa: PTH118 - pathlib would cost 1 MB
    wakeup = _watch_signals()
    listener = _listen()
    _tell_ready()
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    os.chdir("/")
    sys.stderr.flush()
    Supervisor(listener, records, wakeup).run()
    os.unlink(os.path.join(folder, "socket"))  # noqa: PTH108, PTH118


def _tell_ready() -> None:
    try:
        os.write(1, b"ready\n")
    except BrokenPipeError:
        return  # the worker was killed meanwhile; the next one may come in time


def _listen() -> socket.socket:
    """Listen in the folder by a bare name: a whole path may be longer than a socket's may be."""
    if os.path.lexists("socket"):
        os.unlink("socket")  # noqa: PTH108 - left behind by one that was killed; the lock is ours
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    os.chmod("socket", 0o600)  # noqa: PTH101
    listener.listen(8)
    return listener


def _watch_signals() -> int:
    """Return a descriptor that becomes readable when a child ends.

    Requests to end are ignored: the supervisor ends by itself once its work is done, and a signal to
    a whole group or control group must not take the proof of the tasks' end away.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader
