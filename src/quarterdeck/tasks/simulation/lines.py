"""Reads the lines that Quarterdeck sends to a login shell, as a simulated host has no shell to do so."""

import re
import shlex
from dataclasses import dataclass
from typing import Final

from quarterdeck.tasks.ssh.shell import running_line

_SCRIPT: Final = 3
_ARGUMENTS: Final = 5
_PRINTED: Final = re.compile(r'printf "((?:%s ?)+)\\n"')
_ANY_START: Final = "1"


@dataclass(frozen=True, slots=True)
class Running:
    """Run a command whose processes carry a mark."""

    mark: str
    command: str

    def told(self, group: int) -> bytes:
        """Return the line that tells the command's group behind its mark, with the words that are wanted."""
        return f"{' '.join((self.mark, str(group), _ANY_START)[:_TOLD_WORDS])}\n".encode()


@dataclass(frozen=True, slots=True)
class Ending:
    """Another script about a mark. A host that knows the mark is asked to end what carries it."""

    mark: str
    line: str


@dataclass(frozen=True, slots=True)
class Plain:
    """A line that is a command itself, such as people send with ssh."""

    command: str


def read_line(line: str) -> Running | Ending | Plain:
    """Tell what a line asks for."""
    words = _words(line)
    if len(words) <= _ARGUMENTS + 1 or words[:_SCRIPT] != ["exec", "sh", "-c"]:
        return Plain(line)
    if words[_SCRIPT] == _RUNNER:
        return Running(words[_ARGUMENTS], words[_ARGUMENTS + 1])
    return Ending(words[_ARGUMENTS], line)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _told_words(script: str) -> int:
    """Return how many words the script prints about itself: the mark, the group, perhaps its start."""
    found = _PRINTED.search(script)
    return found[1].count("%s") if found else 2


_RUNNER: Final = _words(running_line("mark", "true"))[_SCRIPT]
_TOLD_WORDS: Final = _told_words(_RUNNER)
