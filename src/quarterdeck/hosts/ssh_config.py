"""Reads an OpenSSH client configuration into proposals for hosts. Nothing in it is ever executed.

The rules of ssh_config(5) that matter here are kept: the first value found for a name wins, a
section counts for a name that one of its patterns matches and none of its “!” patterns does, and
what stands before the first section counts for all. Names with wildcards give defaults only.
"""

import fnmatch
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from quarterdeck.hosts.ssh_target import name_problem

LONGEST_TEXT: Final = 1_000_000
MOST_LINES: Final = 20_000
MOST_HOSTS: Final = 2_000
MOST_PATTERNS: Final = 100
_READ: Final = frozenset({"hostname", "user", "port", "identityfile", "proxyjump"})
_REFUSED: Final = {
    "include": "Include is not followed; import that file as well.",
    "proxycommand": "ProxyCommand is never run; use ProxyJump.",
    "localcommand": "LocalCommand is never run.",
    "knownhostscommand": "KnownHostsCommand is never run.",
    "proxyusefdpass": "ProxyUseFdpass is not supported.",
}


@dataclass(frozen=True, slots=True)
class HostProposal:
    """A host as the configuration describes it; empty where it says nothing.

    ``identity_file`` names a file of whoever wrote the configuration; it is shown, never opened.
    ``jump`` are the names of the jump hosts, nearest first.
    """

    name: str
    address: str
    port: int
    username: str
    identity_file: str
    jump: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something in the configuration that was left out, and where."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class ConfigReading:
    proposals: tuple[HostProposal, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class _Setting:
    line: int
    keyword: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    line: int
    patterns: tuple[str, ...]
    settings: tuple[_Setting, ...]

    def covers(self, name: str) -> bool:
        if any(_matches(name, pattern[1:]) for pattern in self.patterns if pattern.startswith("!")):
            return False
        return any(_matches(name, pattern) for pattern in self.patterns if not pattern.startswith("!"))


def read_ssh_config(text: str) -> ConfigReading:
    """Read a configuration; what can't be used is noted with its line, and never raises."""
    notes: list[Note] = []
    if len(text) > LONGEST_TEXT or text.count("\n") > MOST_LINES:
        return ConfigReading((), (Note(0, "The file is too large for a client configuration."),))
    sections = _sections(_settings(text, notes), notes)
    proposals: dict[str, HostProposal] = {}
    finder = _Finder(sections, notes)
    for section in sections:
        for name in section.patterns:
            if name.startswith("!") or _is_pattern(name) or name in proposals:
                continue
            if len(proposals) >= MOST_HOSTS:
                notes.append(Note(section.line, f"Only the first {MOST_HOSTS} hosts were read."))
                return ConfigReading(tuple(proposals.values()), tuple(notes))
            if proposal := _proposal(name, section.line, finder.settings(name), notes):
                proposals[name] = proposal
    return ConfigReading(tuple(proposals.values()), tuple(notes))


def _settings(text: str, notes: list[Note]) -> Iterator[_Setting]:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            words = _words(stripped)
        except ValueError:
            notes.append(Note(number, "A quotation mark is missing; the line was left out."))
            continue
        keyword, *values = words
        if values:
            yield _Setting(number, keyword.lower(), tuple(values))
        else:
            notes.append(Note(number, f"{_shown(keyword)} has no value; the line was left out."))


def _words(line: str) -> list[str]:
    """Split a line at blanks and at the first “=”, keeping what stands in double quotes together."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.quotes = '"'
    lexer.escape = ""
    first, *rest = list(lexer) or [""]
    keyword, equals, value = first.partition("=")
    if not equals and rest and rest[0].startswith("="):
        rest = [rest[0][1:], *rest[1:]]
    return [keyword, *(word for word in [value, *rest] if word)]


def _sections(settings: Iterator[_Setting], notes: list[Note]) -> list[_Section]:
    """Group the settings by the names they count for; a Match section counts for none."""
    sections: list[_Section] = []
    line = 0
    patterns: tuple[str, ...] = ("*",)
    gathered: list[_Setting] = []
    for setting in settings:
        if setting.keyword not in ("host", "match"):
            _note_left_out(setting, notes)
            gathered.append(setting)
            continue
        sections.append(_Section(line, patterns, tuple(gathered)))
        line, gathered = setting.line, []
        patterns = setting.words if setting.keyword == "host" else _matched(setting, notes)
    sections.append(_Section(line, patterns, tuple(gathered)))
    return sections


def _matched(setting: _Setting, notes: list[Note]) -> tuple[str, ...]:
    if setting.words == ("all",):
        return ("*",)
    notes.append(Note(setting.line, "Match is not followed; its settings were left out."))
    return ()


def _note_left_out(setting: _Setting, notes: list[Note]) -> None:
    if setting.keyword in _READ:
        return
    text = _REFUSED.get(setting.keyword, f"{_shown(setting.keyword)} has no meaning here and was left out.")
    notes.append(Note(setting.line, text))


class _Finder:
    """Finds what counts for a name without trying every section, since the text may be hostile."""

    def __init__(self, sections: list[_Section], notes: list[Note]) -> None:
        self._by_name: dict[str, list[int]] = {}
        self._with_pattern: list[int] = []
        self._sections = sections
        for index, section in enumerate(sections):
            if any(_is_pattern(pattern) for pattern in section.patterns):
                self._with_pattern.append(index)
            for name in section.patterns:
                self._by_name.setdefault(name, []).append(index)
        for index in self._with_pattern[MOST_PATTERNS:]:
            notes.append(
                Note(sections[index].line, "Too many sections with wildcards; this one was left out.")
            )
        del self._with_pattern[MOST_PATTERNS:]

    def settings(self, name: str) -> dict[str, _Setting]:
        """Return by keyword the first setting of the sections that cover a name."""
        found: dict[str, _Setting] = {}
        for index in sorted({*self._by_name.get(name, ()), *self._with_pattern}):
            if self._sections[index].covers(name):
                for setting in self._sections[index].settings:
                    found.setdefault(setting.keyword, setting)
        return found


def _proposal(name: str, line: int, found: dict[str, _Setting], notes: list[Note]) -> HostProposal | None:
    address = _value(found, "hostname").replace("%h", name) or name
    jump = _jump(_value(found, "proxyjump"))
    port = _value(found, "port") or "22"
    if problem := _problem(name, address, _value(found, "user"), port, jump):
        notes.append(Note(line, f"{_shown(name)} was left out: {problem}"))
        return None
    return HostProposal(
        name=name,
        address=address,
        port=int(port),
        username=_value(found, "user"),
        identity_file=_printable(_value(found, "identityfile")),
        jump=jump,
        line=line,
    )


def _problem(name: str, address: str, username: str, port: str, jump: tuple[str, ...]) -> str:
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        return "Port: A port is a number from 1 to 65535."
    named = [("Host", name), ("HostName", address), ("User", username), *(("ProxyJump", hop) for hop in jump)]
    for keyword, text in named:
        if text and (problem := name_problem(text)):
            return f"{keyword}: {problem}"
    return ""


def _value(found: dict[str, _Setting], keyword: str) -> str:
    return found[keyword].words[0] if keyword in found else ""


def _jump(text: str) -> tuple[str, ...]:
    return () if text.lower() in ("", "none") else tuple(hop for hop in text.split(",") if hop)


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def _matches(name: str, pattern: str) -> bool:
    """Match as ssh does, where “[” has no meaning of its own."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _shown(text: str) -> str:
    return _printable(text)[:80]


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
