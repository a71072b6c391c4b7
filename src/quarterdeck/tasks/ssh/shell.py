"""What is sent to the login shell of an SSH host: one line of quoted words, and no more.

The login shell becomes a POSIX shell that leads the process group which sshd made for the session.
It tells that group's number and start on stderr behind a mark that nobody can guess, and becomes the
command's own shell. The mark also stands in the environment of all that the command starts.
"""

import itertools
import re
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from quarterdeck.core.errors import Invalid
from quarterdeck.tasks.executor import Stream

LONGEST_LINE_BYTES: Final = 130_000  # Linux takes 128 KiB in one argument

# The start of the group's leader, as /proc tells it, tells it from a later process of the same number.
_WRAPPER: Final = (
    "m=$1 c=$2; { read -r s </proc/$$/stat; } 2>/dev/null && set -- ${s##*) }; "
    'printf "%s %s %s\\n" "$m" "$$" "${20-}" >&2; '
    'QUARTERDECK_RUN=$m; export QUARTERDECK_RUN; exec sh -c "$c"'
)

_GROUP: Final = re.compile(rb"(\d{1,10}) (\d{0,20})\n")
_QUOTED: Final = {"'": "'\"'\"'", "\\": "'\"\\\\\"'"}


def running_line(mark: str, command: str) -> str:
    """Return the line that runs a command."""
    return f"{shell_line(_WRAPPER, mark, command)} </dev/null"


def shell_line(script: str, *words: str) -> str:
    """Return the line by which a login shell becomes a POSIX shell that runs a script with these words."""
    return " ".join(["exec sh -c", _quote(script), "sh", *map(_quote, words)])


def checked_line(line: str, command: str) -> str:
    """Return the line that runs a command; raises Invalid for what no shell can be given."""
    if not command.strip():
        raise Invalid({"command": "Give a command."})
    if "\0" in command or any("\ud800" <= char <= "\udfff" for char in command):
        raise Invalid({"command": "A command can't contain a NUL or half a character."})
    if len(line.encode()) > LONGEST_LINE_BYTES:
        raise Invalid({"command": "The command is too long for a shell's argument. Put it into a script."})
    return line


def joined(chunks: list[tuple[bool, bytes]]) -> Iterator[tuple[Stream, bytes]]:
    """Join neighbours of the same stream, so that the sink is called less often."""
    if len(chunks) == 1:
        yield (Stream.ERR if chunks[0][0] else Stream.OUT), chunks[0][1]
        return
    for is_err, group in itertools.groupby(chunks, itemgetter(0)):
        yield (Stream.ERR if is_err else Stream.OUT), b"".join(data for _, data in group)


def _quote(text: str) -> str:
    """Quote a word for every POSIX shell and for fish, which reads backslashes between single quotes."""
    return "'" + re.sub(r"['\\]", lambda found: _QUOTED[found[0]], text) + "'"


class Marker:
    """Finds the line on stderr that tells the command's process group, and takes it out."""

    def __init__(self, mark: str) -> None:
        self.group: int | None = None
        self.start = ""
        self._mark = mark.encode() + b" "
        self._longest = len(mark) + 33
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what of stderr can be passed on; the end is held back while it may hold the line."""
        if self.group is not None:
            return data
        self._held += data
        start = self._held.find(self._mark)
        while start >= 0:
            # Not a pattern compiled for each run: that took a fifth of a warm run's time.
            if found := _GROUP.match(self._held, start + len(self._mark)):
                self.group, self.start = int(found[1]), found[2].decode()
                return self._held[:start] + self.rest()[found.end() :]
            start = self._held.find(self._mark, start + 1)
        keep_from = max(0, len(self._held) - self._longest)
        passed, self._held = self._held[:keep_from], self._held[keep_from:]
        return passed

    def rest(self) -> bytes:
        """Return what is held back, when stderr has ended."""
        held, self._held = self._held, b""
        return held
