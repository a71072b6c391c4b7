"""What the tests of commands over SSH share."""

import psutil

from quarterdeck.hosts.ssh import SshPool, SshTarget
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.ssh import SshExecution

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
