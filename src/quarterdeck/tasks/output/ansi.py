"""Output of commands as lines of styled text: colours become class names, everything else is shown as text.

Nothing that a command writes can hide, move or overwrite text on the page, let alone become markup:
escape sequences without a meaning here are dropped, control and direction characters are made
visible. What is returned is text and class names from a fixed list; escaping is the template's part.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

_RESETS: Final = (b"\x1b[0m", b"\x1b[m")

_ESCAPE: Final = re.compile(
    r"(?:\x1b\[|\x9b)(?P<csi>[0-?]*)(?P<between>[ -/]*)(?P<end>[@-~])"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]+[0-~]"
    r"|\x1b[0-OQ-WYZ\\`-~]"
)
_HIGH_ESCAPE: Final = re.compile("[\x90\x98\x9b\x9d\x9e\x9f]")
_LONGEST_STYLE: Final = 128
_MARKS: Final = {
    1: "bold",
    2: "dim",
    3: "italic",
    4: "underline",
    7: "inverse",
    9: "strike",
    21: "underline",
}
_ENDS: Final = {
    22: {"bold", "dim"},
    23: {"italic"},
    24: {"underline"},
    27: {"inverse"},
    29: {"strike"},
}
_PALETTE: Final = (
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
)
_BIDI: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_VISIBLE: Final = (
    {code: chr(0x2400 + code) for code in range(32) if code != 9}
    | {127: "\u2421", 0x2028: "\u2424", 0x2029: "\u2424"}
    | dict.fromkeys(range(0x80, 0xA0), "\ufffd")
    | {code: f"‹U+{code:04X}›" for code in _BIDI}
)
_UNSAFE: Final = re.compile("[" + "".join(re.escape(chr(code)) for code in _VISIBLE) + "]")
_VISIBLE_IN_LINES: Final = {code: text for code, text in _VISIBLE.items() if code != 10}
_PLAIN_BYTES: Final = bytes([9, 10, *range(32, 127)])


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line; ``classes`` are names such as ``bold fg-1``, or empty."""

    text: str
    classes: str = ""


@dataclass(frozen=True, slots=True)
class Style:
    """What a terminal would write the next character with; colours are numbers from 0 to 15."""

    foreground: int | None = None
    background: int | None = None
    marks: frozenset[str] = frozenset()

    @property
    def classes(self) -> str:
        names = sorted(self.marks)
        if self.foreground is not None:
            names.append(f"fg-{self.foreground}")
        if self.background is not None:
            names.append(f"bg-{self.background}")
        return " ".join(names)


PLAIN: Final = Style()
MARKS: Final = ("bold", "dim", "italic", "underline", "inverse", "strike")
"""All that a style may have besides colours."""
Line = list[Span]


def render(line: str, style: Style = PLAIN) -> tuple[Line, Style]:
    """Return the spans of one line (without its end) and the style that goes on after it.

    Of text that was overwritten by a carriage return only the last version is kept.
    """
    if "\r" not in line and not _has_escapes(line):
        return ([Span(_visible(line), style.classes)] if line else []), style
    row = _Row()
    position = 0
    for escape in _ESCAPE.finditer(line):
        row.add(line[position : escape.start()], style)
        position = escape.end()
        style = _restyled(style, escape)
    row.add(line[position:], style)
    return row.spans, style


def lines_of(output: bytes) -> list[Line]:
    """Return all lines of a finished output, however long; a last one without an end counts too."""
    lines, style = [], PLAIN
    for line in output.decode("utf-8", "replace").removesuffix("\n").split("\n") if output else ():
        spans, style = render(line, style)
        lines.append(spans)
    return lines


def style_after(text: bytes, style: Style) -> Style:
    """Return the style that goes on after whole lines, without making anything of them."""
    if b"\x1b" not in text and b"\x9b" not in text:
        return style
    if (reset := max(text.rfind(each) for each in _RESETS)) >= 0:
        # A reset is one wherever it stands: no other sequence can have an escape character inside.
        text, style = text[reset:], PLAIN
    for escape in _ESCAPE.finditer(text.decode("utf-8", "replace")):
        style = _restyled(style, escape)
    return style


def shown_text(lines: bytes) -> str:
    """Return whole lines, ends included, with the text that ``render`` would give each of them."""
    if not lines.translate(None, _PLAIN_BYTES):
        return lines.decode("ascii")
    text = lines.decode("utf-8", "replace")
    if _has_escapes(text):
        text = _ESCAPE.sub("", text)
    if "\r" in (text := text.replace("\r\n", "\n")):
        text = "\n".join(map(_last_version, text.split("\n")))
    return text.translate(_VISIBLE_IN_LINES) if _UNSAFE.search(text) else text


def _last_version(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2] if "\r" in line else line


def _has_escapes(text: str) -> bool:
    return "\x1b" in text or (not text.isascii() and _HIGH_ESCAPE.search(text) is not None)


class _Row:
    """A line as it is put together; a carriage return clears it once more text comes."""

    def __init__(self) -> None:
        self.spans: Line = []
        self._is_overwritten = False

    def add(self, text: str, style: Style) -> None:
        first, *later = text.split("\r")
        self._put(first, style.classes)
        for part in later:
            self._is_overwritten = True
            self._put(part, style.classes)

    def _put(self, text: str, classes: str) -> None:
        if not text:
            return
        if self._is_overwritten:
            self.spans.clear()
            self._is_overwritten = False
        if self.spans and self.spans[-1].classes == classes:
            self.spans[-1] = Span(self.spans[-1].text + _visible(text), classes)
        else:
            self.spans.append(Span(_visible(text), classes))


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_VISIBLE) if _UNSAFE.search(text) else text


def _restyled(style: Style, escape: re.Match[str]) -> Style:
    if escape["end"] != "m" or escape["between"] or len(escape["csi"]) > _LONGEST_STYLE:
        return style
    return _restyle(style, escape["csi"])


@lru_cache(maxsize=1024)
def _restyle(style: Style, parameters: str) -> Style:
    """Apply a select-graphic-rendition sequence; private and unknown ones change nothing."""
    if parameters[:1] in ("<", "=", ">", "?"):
        return style
    codes = parameters.split(";")
    while codes:
        style = _apply(style, codes)
    return style


def _apply(style: Style, codes: list[str]) -> Style:
    """Take one code, and what belongs to it, off the front of the list."""
    first, *parts = codes.pop(0).split(":")
    code = _number(first)
    if code in (38, 48):
        colour = _colour([part for part in parts if part] if parts else _taken(codes))
        return _coloured(style, code - 30, colour) if colour is not None else style
    if code == 0:
        return PLAIN
    if code == 4 and parts[:1] == ["0"]:
        code = 24  # 4:0 is "no underline", 4:3 a curly one
    if code in _MARKS:
        return replace(style, marks=style.marks | {_MARKS[code]})
    if code in _ENDS:
        return replace(style, marks=style.marks - _ENDS[code])
    return _basic_colour(style, code)


def _basic_colour(style: Style, code: int) -> Style:
    for first, shift in ((30, 0), (40, 0), (90, 8), (100, 8)):
        if first <= code <= first + 7:
            return _coloured(style, 8 if first in (30, 90) else 18, code - first + shift)
    if code in (39, 49):
        return _coloured(style, code - 31, None)
    return style


def _coloured(style: Style, ground: int, colour: int | None) -> Style:
    if ground == 8:
        return replace(style, foreground=colour)
    return replace(style, background=colour)


def _taken(codes: list[str]) -> list[str]:
    """Remove and return what follows 38 or 48: ``5;n`` or ``2;r;g;b``."""
    count = {"5": 2, "2": 4}.get(codes[0] if codes else "", 0)
    taken, codes[:] = codes[:count], codes[count:]
    return taken


def _colour(parts: list[str]) -> int | None:
    """Return the nearest of the 16 colours; None when the sequence makes no sense."""
    numbers = [min(_number(part), 255) for part in parts]
    if len(numbers) == 2 and numbers[0] == 5:
        return _of_256(numbers[1])
    if len(numbers) >= 4 and numbers[0] == 2:
        red, green, blue = numbers[-3:]
        return _nearest(red, green, blue)
    return None


def _number(text: str) -> int:
    if not text:
        return 0
    return int(text) if text.isdecimal() and len(text) < 6 else -1


@lru_cache(maxsize=256)
def _of_256(number: int) -> int:
    if number < 16:
        return max(number, 0)
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return _nearest(grey, grey, grey)
    red, green, blue = (number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6
    return _nearest(*(0 if step == 0 else 55 + 40 * step for step in (red, green, blue)))


@lru_cache(maxsize=4096)
def _nearest(red: int, green: int, blue: int) -> int:
    def distance(number: int) -> int:
        other = _PALETTE[number]
        # Weights of the common approximation to how far apart people see two colours.
        return 2 * (red - other[0]) ** 2 + 4 * (green - other[1]) ** 2 + 3 * (blue - other[2]) ** 2

    return min(range(16), key=distance)
