"""Following a run on a terminal: its output as it comes, each stream to its own."""

import threading
from collections.abc import Callable
from typing import Final

from quarterdeck.tasks.states import RunState
from quarterdeck.tasks.terminal.client import Json, RunsClient

Write = Callable[[bytes, bool], None]
"""Takes bytes, and whether they belong to standard error."""

_LOOK_SECONDS: Final = 0.5
_STREAMS: Final = (("out", "out_bytes"), ("err", "err_bytes"))


class Follower:
    """Prints what a run has printed since the last look; with several hosts each line says whose it is.

    ``run`` names the hosts that are printed; ``stream`` is the only one that is, or empty for both.
    ``look`` is shown the run each time it is asked for while it is followed.
    """

    def __init__(
        self,
        client: RunsClient,
        run: Json,
        write: Write,
        look: Callable[[Json], None] | None = None,
        *,
        stream: str = "",
    ) -> None:
        self._look = look
        self._client, self._run_id, self._write = client, run["id"], write
        self._names = {host["name"] for host in run["hosts"]}
        self._streams = tuple(each for each in _STREAMS if stream in ("", each[0]))
        self._is_prefixed = len(run["hosts"]) > 1
        self._width = max(len(host["name"]) for host in run["hosts"])
        self._seen: dict[tuple[str, str], int] = {}
        self._rest: dict[tuple[str, str], bytes] = {}

    def follow(self) -> Json:
        """Print until the run has ended; returns it as it ended."""
        pause = threading.Event()
        while True:
            run = self._client.show(self._run_id, wait_seconds=_LOOK_SECONDS)
            self.print_news(run)
            if self._look is not None:
                self._look(run)
            if RunState(run["state"]).is_terminal:
                self._print_rests()
                return run
            pause.wait(_LOOK_SECONDS / 5)  # an early answer must not become a busy loop

    def print_once(self, run: Json) -> None:
        """Print what there is by now, also a line that has no end yet."""
        self.print_news(run)
        self._print_rests()

    def print_news(self, run: Json) -> None:
        for host in run["hosts"]:
            if host["name"] not in self._names:
                continue
            for stream, size in self._streams:
                key = (host["name"], stream)
                if host[size] > self._seen.get(key, 0):
                    data = self._client.output(self._run_id, *key, self._seen.get(key, 0))
                    self._seen[key] = self._seen.get(key, 0) + len(data)
                    self._print(key, data)

    def _print(self, key: tuple[str, str], data: bytes) -> None:
        if not self._is_prefixed:
            self._write(data, key[1] == "err")
            return
        *lines, self._rest[key] = (self._rest.get(key, b"") + data).split(b"\n")
        for line in lines:
            self._print_line(key, line)

    def _print_rests(self) -> None:
        for key, rest in self._rest.items():
            if rest:
                self._print_line(key, rest)
        self._rest.clear()

    def _print_line(self, key: tuple[str, str], line: bytes) -> None:
        self._write(f"{key[0]:<{self._width}} | ".encode() + line + b"\n", key[1] == "err")


def exit_status(run: Json) -> int:
    """Return the remote status of a run on one host; else 0 when all succeeded and 1 when not."""
    if run["state"] == RunState.SUCCEEDED:
        return 0
    status = run["hosts"][0]["exit_status"] if len(run["hosts"]) == 1 else None
    return int(status) if status else 1
