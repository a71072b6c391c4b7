"""What the tests of commands over SSH share."""

import os
from pathlib import Path
from typing import Final

import psutil

from quarterdeck.hosts.ssh import SshPool, SshTarget
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.ssh.execution import SshExecution
from tests.needs import need

COMMANDS = {
    "plain": "echo begun; sleep 300",
    "ignores TERM": "trap '' TERM; echo $$ begun; while :; do sleep 1; done",
    "children": "sleep 300 & echo $!; sleep 301 & echo $!; echo begun; wait",
    "stubborn children": "(trap '' TERM; sleep 300) & echo $!; echo begun; wait",
    "pipeline": "yes | while read line; do sleep 1; done & echo $! begun; wait",
    "child in a session of its own": (
        "setsid sh -c 'echo $$; trap \"\" TERM; echo begun; sleep 300 & wait; wait' & wait"
    ),
    "child without the mark in a session of its own": "env -i setsid sleep 300 & echo $! begun; wait",
    "leader has ended": "sleep 300 & echo $! begun",
    "much output": "echo begun; yes",
}
"""Each tells that it is under way by the word begun, and the numbers of what it has started."""
CHILD_OF_LOWER_ID = (
    "echo 500 >/proc/sys/kernel/ns_last_pid; n=0; "
    "while [ $n -lt 60 ]; do sleep 300 & n=$((n + 1)); done; "
    "echo 300 >/proc/sys/kernel/ns_last_pid; echo begun; sleep 300; echo went on"
)
"""The child that it waits for has the lowest number, as when the kernel has begun its numbers anew."""

_LAST_ID: Final = Path("/proc/sys/kernel/ns_last_pid")


def give_high_ids() -> None:
    """Have the next processes get numbers above those of CHILD_OF_LOWER_ID; skips where that can't be."""
    need("" if os.access(_LAST_ID, os.W_OK) and os.geteuid() == 0 else "only root chooses ids of processes")
    _LAST_ID.write_text("20000", encoding="ascii")


class Received:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.starts = 0
        self.chunks: list[tuple[Stream, bytes]] = []

    async def started(self) -> None:
        assert not self.chunks
        self.starts += 1

    async def write(self, stream: Stream, data: bytes) -> None:
        assert data
        self.chunks.append((stream, data))

    @property
    def out(self) -> bytes:
        return b"".join(data for stream, data in self.chunks if stream is Stream.OUT)

    @property
    def err(self) -> bytes:
        return b"".join(data for stream, data in self.chunks if stream is Stream.ERR)


async def run_on(pool: SshPool, target: SshTarget, command: str) -> tuple[Result, Received]:
    sink = Received()
    return await SshExecution(pool, target, command).run(sink), sink


def alive(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def numbers(sink: Received) -> list[int]:
    return [int(word) for word in sink.out.split() if word.isdigit()]
