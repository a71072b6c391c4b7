"""What is sent to the login shell of an SSH host: one line of quoted words, and no more.

The login shell becomes a POSIX shell that leads the process group which sshd made for the session.
It tells that group's number on stderr behind a mark that nobody can guess, and becomes the
command's own shell. The mark also stands in the environment of all that the command starts.
"""

import re
from typing import Final

_WRAPPER: Final = (
    'printf "%s %s\\n" "$1" "$$" >&2; QUARTERDECK_RUN=$1; export QUARTERDECK_RUN; exec sh -c "$2"'
)

# Ends the process group and, where /proc shows it, whatever else carries the mark, and says "gone"
# or "there". A process that only waits to be collected by its parent (Z) is gone.
_ENDER: Final = """
mark=$1 group=$2 tries=$3
carriers() { grep -l -s "QUARTERDECK_RUN=$mark" /proc/[0-9]*/environ 2>/dev/null | tr -dc "0-9\\n"; }
members() { sed -n "s/^\\([0-9]*\\) .*) [^Z] [0-9]* $group .*/\\1/p" /proc/[0-9]*/stat 2>/dev/null; }
if [ -r /proc/self/stat ] && [ -r /proc/self/environ ]; then
    present() { [ -n "$(members)$(carriers)" ]; }
else
    present() { ! kill -0 "-$group" 2>&1 | grep -qi "no such"; }
fi
end() {
    kill "-$1" "-$group" 2>/dev/null
    for process in $(carriers); do kill "-$1" "$process" 2>/dev/null; done
}
wait_gone() {
    left=$1
    while present; do
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        sleep 0.1 2>/dev/null || { sleep 1; left=$((left - 9)); }
    done
}
end TERM
wait_gone "$tries" || { end KILL; wait_gone 20; }
if present; then echo there; else echo gone; fi
"""
_GROUP: Final = re.compile(rb"(\d{1,10})\n")
_QUOTED: Final = {"'": "'\"'\"'", "\\": "'\"\\\\\"'"}


def running_line(mark: str, command: str) -> str:
    """Return the line that runs a command."""
    return _line(_WRAPPER, mark, command)


def ending_line(mark: str, group: int | None, grace_seconds: float) -> str:
    """Return the line that ends a command; without a group only what carries the mark is ended."""
    return _line(_ENDER, mark, "" if group is None else str(group), str(int(grace_seconds * 10)))


def _line(script: str, *words: str) -> str:
    return " ".join(["exec sh -c", _quote(script), "sh", *map(_quote, words), "</dev/null"])


def _quote(text: str) -> str:
    """Quote a word for every POSIX shell and for fish, which reads backslashes between single quotes."""
    return "'" + re.sub(r"['\\]", lambda found: _QUOTED[found[0]], text) + "'"


class Marker:
    """Finds the line on stderr that tells the command's process group, and takes it out."""

    def __init__(self, mark: str) -> None:
        self.group: int | None = None
        self._mark = mark.encode() + b" "
        self._longest = len(mark) + 12
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
                self.group = int(found[1])
                return self._held[:start] + self.rest()[found.end() :]
            start = self._held.find(self._mark, start + 1)
        keep_from = max(0, len(self._held) - self._longest)
        passed, self._held = self._held[:keep_from], self._held[keep_from:]
        return passed

    def rest(self) -> bytes:
        """Return what is held back, when stderr has ended."""
        held, self._held = self._held, b""
        return held
