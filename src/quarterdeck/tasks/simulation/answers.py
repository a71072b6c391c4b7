"""What a simulated host answers to a command: a fixed set, made up here, in a shell of two joints.

Pure: a command becomes steps (output, a pause, the end), which the caller carries out. Nothing of the
real machine is read or run.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from quarterdeck.tasks.simulation.fleet import Manner, SimulatedHost

NOT_FOUND: Final = 127
_MISUSED: Final = 2
_LONGEST_SLEEP: Final = 86_400.0
_MOST_LINES: Final = 10_000_000
_CHUNK_LINES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Out:
    """Bytes for standard output."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Err:
    """Bytes for standard error."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Time that passes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exit:
    """The end; the last step, and there is always one."""

    status: int


Step = Out | Err | Pause | Exit
_Answer = Callable[[SimulatedHost, Sequence[str]], Iterator[Step]]


class _Unreadable(Exception):
    """The line needs more of a shell than there is."""


def steps_of(host: SimulatedHost, command: str) -> Iterator[Step]:
    """Yield what a command does on a host. A failing host does it all and ends with 1, except ``true``."""
    try:
        parts = _parts(command)
    except _Unreadable as error:
        yield Err(f"simulated shell: {error}\n".encode())
        yield Exit(_MISUSED)
        return
    status = 0
    for needs_success, words in parts:
        if needs_success and status:
            continue
        for step in _steps(host, words):
            if isinstance(step, Exit):
                status = step.status
            else:
                yield step
    if host.manner is Manner.FAILING and command.strip() != "true":
        yield Err(f"{host.name} fails, as it was told to (--failing)\n".encode())
        status = 1
    yield Exit(status)


def known_commands() -> str:
    """Return what a simulated host knows, for people."""
    return (
        "df -h /, uptime, hostname, free -m, uname -a, systemctl is-active NAME, journalctl -n LINES, "
        "seq [FIRST] LAST, sleep SECONDS, echo WORDS, true, false; joined by “;” or “&&”"
    )


def _parts(command: str) -> list[tuple[bool, list[str]]]:
    """Take a line apart: each part's words, and whether it waits for the success of the one before."""
    parts: list[tuple[bool, list[str]]] = []
    for line in command.splitlines():
        needs_success, words = False, list[str]()
        for word in [*_words(line), ";"]:
            if word not in (";", "&&"):
                words.append(word)
                continue
            if words:
                parts.append((needs_success, words))
            needs_success, words = word == "&&", []
    return parts


def _words(line: str) -> list[str]:
    if "$" in line or "`" in line:
        raise _Unreadable("it knows no $ and no backquotes")
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.commenters, lexer.whitespace_split = "", True
    try:
        words = list(lexer)
    except ValueError as error:
        raise _Unreadable("a quote is not closed") from error
    for word in words:
        if set(word) <= set("();<>|&") and word not in ("", ";", "&&"):
            raise _Unreadable(f"it knows “;” and “&&”, but no “{word}”")
    return words


def _steps(host: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    answer = _ANSWERS.get(words[0])
    if answer is None:
        message = f"{words[0][:100]}: a simulated host has no such command; it knows {known_commands()}\n"
        yield from (Err(message.encode()), Exit(NOT_FOUND))
        return
    try:
        yield from answer(host, words[1:])
    except ValueError:
        message = f"{words[0]}: a simulated host knows it in this way only: {known_commands()}\n"
        yield from (Err(message.encode()), Exit(_MISUSED))


def _differs(host: SimulatedHost) -> bool:
    return host.manner is Manner.DIFFERING


def _df(host: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    if sorted(words) != ["-h", "/"]:
        raise ValueError
    used = f" 49G   {1 + host.number % 2}G  97%" if _differs(host) else " 20G   28G  42%"
    yield Out(f"Filesystem      Size  Used Avail Use% Mounted on\n/dev/vda1        50G {used} /\n".encode())
    yield Exit(0)


def _uptime(host: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    if words:
        raise ValueError
    load = f"{8 + host.number % 7}.41, 7.96, 7.70" if _differs(host) else "0.08, 0.11, 0.09"
    yield Out(f" 12:00:00 up 41 days,  3:12,  1 user,  load average: {load}\n".encode())
    yield Exit(0)


def _hostname(host: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    if words:
        raise ValueError
    yield Out(f"{host.name}\n".encode())
    yield Exit(0)


def _free(host: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    if list(words) != ["-m"]:
        raise ValueError
    used, free = (7651, 88) if _differs(host) else (2113, 4420)
    yield Out(
        "               total        used        free      shared  buff/cache   available\n"
        f"Mem:            7951        {used}{free:12}          12        1418        {7951 - used}\n"
        "Swap:              0           0           0\n".encode()
    )
    yield Exit(0)


def _uname(host: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    if list(words) != ["-a"]:
        raise ValueError
    kernel = "5.10.0-28-amd64" if _differs(host) else "6.1.0-31-amd64"
    yield Out(f"Linux simulated {kernel} #1 SMP PREEMPT_DYNAMIC x86_64 GNU/Linux\n".encode())
    yield Exit(0)


def _systemctl(host: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    if len(words) != 2 or words[0] != "is-active":
        raise ValueError
    yield Out(b"inactive\n" if _differs(host) else b"active\n")
    yield Exit(3 if _differs(host) else 0)


def _journal(host: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    """A long log with a fault in every 997th line; the same on every host."""
    if len(words) != 2 or words[0] != "-n":
        raise ValueError
    count = _count(words[1])
    for first in range(0, count, _CHUNK_LINES):
        lines = (_log_line(number) for number in range(first, min(first + _CHUNK_LINES, count)))
        yield Out("".join(lines).encode())
    yield Exit(0)


def _log_line(number: int) -> str:
    seconds, minutes, hours = number % 60, number // 60 % 60, number // 3600 % 24
    what = (
        f"ERROR: request {number} timed out after 30 s"
        if number % 997 == 996
        else f"request {number} was answered"
    )
    return f"Jan 01 {hours:02}:{minutes:02}:{seconds:02} simulated app[812]: {what}\n"


def _seq(_: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    if not 1 <= len(words) <= 2:
        raise ValueError
    first, last = (int(words[0]) if len(words) == 2 else 1), int(words[-1])
    if last - first >= _MOST_LINES:
        raise ValueError
    for start in range(first, last + 1, _CHUNK_LINES):
        numbers = range(start, min(start + _CHUNK_LINES, last + 1))
        yield Out("".join(f"{number}\n" for number in numbers).encode())
    yield Exit(0)


def _sleep(_: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    if len(words) != 1 or not 0 <= float(words[0]) <= _LONGEST_SLEEP:
        raise ValueError
    yield Pause(float(words[0]))
    yield Exit(0)


def _echo(_: SimulatedHost, words: Sequence[str]) -> Iterator[Step]:
    yield Out(f"{' '.join(words)}\n".encode())
    yield Exit(0)


def _true(_: SimulatedHost, __: Sequence[str]) -> Iterator[Step]:
    yield Exit(0)


def _false(_: SimulatedHost, __: Sequence[str]) -> Iterator[Step]:
    yield Exit(1)


def _count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= _MOST_LINES:
        raise ValueError
    return count


_ANSWERS: Final[dict[str, _Answer]] = {
    "df": _df,
    "uptime": _uptime,
    "hostname": _hostname,
    "free": _free,
    "uname": _uname,
    "systemctl": _systemctl,
    "journalctl": _journal,
    "seq": _seq,
    "sleep": _sleep,
    "echo": _echo,
    "true": _true,
    "false": _false,
}
