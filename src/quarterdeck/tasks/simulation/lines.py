"""Reads the lines that Quarterdeck sends to a login shell, as a simulated host has no shell to do so."""

import shlex
from dataclasses import dataclass
from typing import Final

from quarterdeck.tasks.ssh_shell import ending_line, running_line

_SCRIPT: Final = 3
_ARGUMENTS: Final = 5


@dataclass(frozen=True, slots=True)
class Running:
    """Run a command whose processes carry a mark, and tell its group behind the mark on stderr."""

    mark: str
    command: str


@dataclass(frozen=True, slots=True)
class Ending:
    """End what carries a mark, and tell whether it is gone."""

    mark: str


@dataclass(frozen=True, slots=True)
class Plain:
    """A line that is a command itself, such as people send with ssh."""

    command: str


def read_line(line: str) -> Running | Ending | Plain:
    """Tell what a line asks for; one of an unknown script is a plain command, which no host knows."""
    words = _words(line)
    if len(words) <= _ARGUMENTS or words[:_SCRIPT] != ["exec", "sh", "-c"]:
        return Plain(line)
    if words[_SCRIPT] == _RUNNER:
        return Running(words[_ARGUMENTS], words[_ARGUMENTS + 1])
    if words[_SCRIPT] == _ENDER:
        return Ending(words[_ARGUMENTS])
    return Plain(line)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


_RUNNER: Final = _words(running_line("mark", "true"))[_SCRIPT]
_ENDER: Final = _words(ending_line("mark", 1, 1))[_SCRIPT]
