"""The shell channel that an SSH host without a worker is sampled through: one that stays, one request a line.

The script is fixed and nothing that anybody typed is in it. It reads files of /proc and runs df; what comes
back is bounded, stands between marks that are new for each request, and is believed no further than numbers.
"""

import asyncio
import secrets
import shlex
from typing import Final, Self

import asyncssh

from quarterdeck.hosts.ssh import Lease, Reason, SshError, SshPool, SshTarget

ANSWER_SECONDS: Final = 10.0
MOST_ANSWER_BYTES: Final = 256 * 1024
_PIECE_BYTES: Final = 64 * 1024

# Words of a request after its mark: "facts" wants those too, "disks" also the room on file systems, which may
# hang. Each part is headed by the mark and its name, and cut: a host with a million mounts answers in part.
_SCRIPT: Final = r"""
LC_ALL=C; export LC_ALL
while read -r mark wanted; do
  for part in stat meminfo loadavg diskstats net/dev; do
    echo "$mark $part"
    head -n 2000 "/proc/$part" 2>/dev/null
  done
  echo "$mark processes"
  set -- /proc/[0-9]*
  echo "$#"
  case "$wanted" in *disks*)
    echo "$mark df"
    df -P -k 2>/dev/null | head -n 500
  esac
  case "$wanted" in *facts*)
    echo "$mark uname"
    uname -n; uname -r; uname -m
    echo "$mark os-release"
    head -n 50 /etc/os-release 2>/dev/null
    echo "$mark cpuinfo"
    head -n 40 /proc/cpuinfo 2>/dev/null
    echo "$mark uptime"
    head -n 1 /proc/uptime 2>/dev/null
  esac
  echo "$mark end"
done
"""
COMMAND: Final = f"exec sh -c {shlex.quote(_SCRIPT)}"

Parts = dict[str, list[str]]
"""The lines of each part of an answer by its name."""


class ShellChannel:
    """One open channel; after any doubt it is closed, and another one is opened."""

    def __init__(self, target: SshTarget, lease: Lease, process: "asyncssh.SSHClientProcess[bytes]") -> None:
        self._target, self._lease, self._process = target, lease, process

    @classmethod
    async def open(cls, pool: SshPool, target: SshTarget) -> Self:
        """Start the script on a connection of the pool; raises SshError."""
        lease = await pool.lease(target)
        try:
            async with asyncio.timeout(target.connect_seconds):
                process = await lease.connection.create_process(
                    COMMAND, encoding=None, stderr=asyncssh.DEVNULL
                )
        except (asyncssh.Error, OSError, TimeoutError) as error:
            lease.end()
            raise SshError(
                Reason.SESSION, f"{target.name} let {target.username} in, but started no shell to sample it."
            ) from error
        except BaseException:
            lease.end()
            raise
        lease.opened()
        return cls(target, lease, process)

    async def ask(self, *wanted: str) -> Parts:
        """Return one answer; raises SshError, after which the channel is of no use."""
        mark = secrets.token_hex(12)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._process.stdin.write(f"{mark} {' '.join(wanted)}\n".encode())
                content = await self._read(f"{mark} end\n".encode())
        except TimeoutError as error:
            raise self._failed(f"did not answer within {ANSWER_SECONDS:g} s") from error
        except (asyncssh.Error, OSError) as error:
            raise self._failed("cut the shell off") from error
        return parts_of(content, mark)

    def close(self) -> None:
        """End the channel and give its place on the connection back."""
        self._process.close()
        self._lease.end()

    async def _read(self, end: bytes) -> bytes:
        content = bytearray()
        while not content.endswith(end):
            piece = await self._process.stdout.read(_PIECE_BYTES)
            if not piece:
                raise self._failed("ended the shell")
            content += piece
            if len(content) > MOST_ANSWER_BYTES:
                raise self._failed("answers more than any machine has to say")
        return bytes(content)

    def _failed(self, what: str) -> SshError:
        return SshError(Reason.SESSION, f"{self._target.name} {what} while it was sampled.")


def parts_of(content: bytes, mark: str) -> Parts:
    """Return the parts of an answer; what stands before the first mark belongs to none."""
    parts: Parts = {}
    lines: list[str] = []
    for line in content.decode("utf-8", "replace").splitlines():
        if line.startswith(mark):
            lines = parts.setdefault(line[len(mark) :].strip(), [])
        else:
            lines.append(line)
    return parts
