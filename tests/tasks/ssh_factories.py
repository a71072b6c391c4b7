"""What the tests of commands over SSH share."""

from quarterdeck.hosts.ssh import SshPool, SshTarget
from quarterdeck.tasks.executor import Result, Stream
from quarterdeck.tasks.ssh import SshExecution


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
