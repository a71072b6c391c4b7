"""An HTTP server on loopback that notes what it is asked, and goes wrong in the usual ways when told to."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from quarterdeck.files.places.faults import Timing

Kind = Literal["answer", "hang", "cut", "endless", "slow", "lost"]
QUICK = Timing(connect=2.0, read=5.0, whole=10.0, queue=5.0, pauses=(0.0, 0.0))
"""How long a place waits for such a server, in seconds; it tries again at once."""


@dataclass(frozen=True)
class Asked:
    """A request as it came in: the path is still encoded, names of headers are in small letters."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")


@dataclass(frozen=True)
class Result:
    """An answer."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong at the next requests that fit.

    ``hang`` says nothing, ``cut`` breaks the body off, ``endless`` sends without end, ``slow`` a byte at a
    time, ``lost`` does what was asked and then hangs up.
    """

    fits: str
    """An expression for "METHOD /path?query"."""
    kind: Kind = "answer"
    result: Result = Result(500)
    times: int = 1
    after: int = 0
    """So many that fit are let through first."""


class Loopback:
    """Answers by ``answer``, which each kind of server writes for itself."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.planned: list[Fault] = []
        self.before: list[tuple[str, Callable[[], object]]] = []
        """What happens once, each at another request, just before a request that fits is answered."""
        self.released = threading.Event()
        self._planning = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"loopback": self}))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def lines(self) -> list[str]:
        return [asked.line for asked in self.asked]

    def plan(self, fits: str, status: int = 500, body: bytes = b"", **how: Any) -> None:
        """Let a request that fits get this answer; ``how`` are media_type, headers, kind, times and after."""
        made = {name: how.pop(name) for name in ("media_type", "headers") if name in how}
        self.planned.append(Fault(fits, result=Result(status, body, **made), **how))

    def answer(self, asked: Asked) -> Result:
        raise NotImplementedError

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def happen_before(self, asked: Asked) -> None:
        with self._planning:
            plan = next((each for each in self.before if re.search(each[0], asked.line)), None)
            if plan is not None:
                self.before.remove(plan)
        if plan is not None:
            plan[1]()

    def fault_of(self, asked: Asked) -> Fault | None:
        with self._planning:
            return self._fault_of(asked)

    def _fault_of(self, asked: Asked) -> Fault | None:
        for fault in self.planned:
            if re.search(fault.fits, asked.line):
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self.planned.remove(fault)
                return fault
        return None


class Scripted(Loopback):
    """Answers 200 and ``{}`` to everything that is not planned."""

    def answer(self, asked: Asked) -> Result:
        return Result(200, b"{}")


@contextmanager
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    try:
        yield server
    finally:
        server.close()


class _Handler(BaseHTTPRequestHandler):
    loopback: Loopback
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        asked = Asked(self.command, path, query, headers, body)
        server = self.loopback
        server.asked.append(asked)
        server.happen_before(asked)
        fault = server.fault_of(asked)
        if fault is None:
            self._send(server.answer(asked))
        elif fault.kind == "answer":
            self._send(fault.result)
        else:
            self.close_connection = True
            with suppress(OSError):
                self._break(fault, asked)

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names that http.server looks for

    def _send(self, result: Result) -> None:
        self._head(result, len(result.body))
        self.wfile.write(result.body)

    def _head(self, result: Result, length: int | None) -> None:
        self.send_response(result.status)
        for name, value in result.headers.items():
            self.send_header(name, value)
        if result.status != 204:
            self.send_header("Content-Type", result.media_type)
            self.send_header(
                "Connection" if length is None else "Content-Length",
                "close" if length is None else str(length),
            )
        self.end_headers()

    def _break(self, fault: Fault, asked: Asked) -> None:
        if fault.kind == "hang":
            self.loopback.released.wait(30)
        elif fault.kind == "lost":
            self.loopback.answer(asked)
        elif fault.kind == "cut":
            self._head(fault.result, len(fault.result.body) + 100)
            self.wfile.write(fault.result.body)
        else:
            self._trickle(b"x" * 65536 if fault.kind == "endless" else b"x", fault)

    def _trickle(self, piece: bytes, fault: Fault) -> None:
        self._head(Result(200, headers=fault.result.headers), None)
        while not self.loopback.released.wait(0.0 if len(piece) > 1 else 0.02):
            self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: tests look at what was asked."""
