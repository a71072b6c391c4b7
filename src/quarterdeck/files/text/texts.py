"""Bytes of a file as text to be edited, and the edited text as the file's own bytes again.

NotText    the bytes can't be shown as text, or not as this text; ``why`` is one word
Unwritable the text has a character that the file's encoding has not; a ValueError with a message for people
"""

import re
from dataclasses import dataclass
from typing import Final

from quarterdeck.files.text import lines

MOST_BYTES: Final = 1 << 20
"""Of a file that is edited here; larger ones are for downloading."""
DEFAULT_ENCODING: Final = "utf-8"
ENCODINGS: Final = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16 (little-endian)",
    "utf-16-be": "UTF-16 (big-endian)",
    "latin-1": "Latin-1 (ISO 8859-1)",
    "cp1252": "Windows-1252 (Western)",
    "cp1250": "Windows-1250 (Central European)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "shift_jis": "Shift JIS",
    "gb18030": "GB 18030",
}
"""What a person may choose for a file that is not UTF-8, with the names for people."""
_BOMS: Final = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
_WIDE: Final = ("utf-16-le", "utf-16-be")
_END: Final = re.compile("\r\n|\r|\n")
_LINE_ENDS: Final = ("\n", "\r\n", "\r")
_LFS: Final = b"version https://git-lfs.github.com/spec/v1\n"
_LONGEST_POINTER: Final = 1024
_MOST_INDENT_LINES: Final = 2_000
_INDENTS: Final = (2, 4, 8, 3, 1)
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that one can't see, and those that would make the others stand in another order."""
_PICTURES: Final = 0x2400


class NotText(Exception):
    """The bytes are no text that can be edited; ``why``: binary, encoding, lfs or too-large."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Unwritable(ValueError):
    """The text can't be written in the file's encoding; the message names the character and its line."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a file writes its text; with it, an edited text becomes bytes of the same manner."""

    encoding: str = DEFAULT_ENCODING
    line_end: str = "\n"
    """The most frequent one; of a file without any, and of a new one, a line feed."""
    has_bom: bool = False
    ends_with_newline: bool = True
    is_mixed: bool = False
    """There is more than one kind of line end; ``encode_like`` keeps each where it is."""
    indent: str = ""
    """A tab or so many blanks; empty where the text tells nothing."""


def is_lfs_pointer(content: bytes) -> bool:
    """Tell whether this is Git LFS's note of where the real contents are."""
    return len(content) <= _LONGEST_POINTER and content.startswith(_LFS)


def decode(content: bytes, *, encoding: str = "", most_bytes: int = MOST_BYTES) -> tuple[str, Style]:
    """Return the text with "\\n" as the only line end, and the style; raises NotText.

    Without an ``encoding``, a byte order mark decides, else it is UTF-8 and strictly so. A text is only
    returned when writing it again gives the same bytes.
    """
    text, used, has_bom = _characters(content, encoding, most_bytes)
    ends = _END.findall(text)
    counts = {end: ends.count(end) for end in _LINE_ENDS}
    clean = unified(text)
    style = Style(
        encoding=used,
        line_end=max(counts, key=lambda end: counts[end]),
        has_bom=has_bom,
        ends_with_newline=clean.endswith("\n"),
        is_mixed=sum(count > 0 for count in counts.values()) > 1,
        indent=indent_of(clean),
    )
    return clean, style


def decode_exactly(content: bytes, *, encoding: str = "", most_bytes: int = MOST_BYTES) -> str:
    """Return the text with its own line ends, without a byte order mark; raises NotText."""
    return _characters(content, encoding, most_bytes)[0]


def encode(text: str, style: Style) -> bytes:
    """Return the bytes of a text of whatever line ends, all of them as the style's; raises Unwritable."""
    return _written(unified(text).replace("\n", style.line_end), style)


def encode_like(original: bytes, text: str, style: Style) -> bytes:
    """Return the bytes of an edited text; in a file of mixed line ends unchanged lines keep theirs.

    ``style`` is what ``decode`` said of the original. Raises Unwritable.
    """
    if not style.is_mixed:
        return encode(text, style)
    old = decode_exactly(original, encoding=style.encoding, most_bytes=max(MOST_BYTES, len(original)))
    ends = _END.findall(old)
    before = lines.split(unified(old))
    after = lines.split(unified(text))
    kept = dict.fromkeys(range(len(after)), style.line_end)
    for match in lines.matches(before, after):
        for step in range(match.length):
            if match.before + step < len(ends):
                kept[match.after + step] = ends[match.before + step]
    return _written(_ended(after, kept), style)


def unified(text: str) -> str:
    """Return the text with "\\n" as the only line end: what editors and text areas work on."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def shown(text: str) -> str:
    """Return a line with a sign for each character that can't be seen or turns the order of others round.

    What is read is then what is there: a page that shows a bidi override as it asks to be shown lies.
    """
    return _UNSEEN.sub(lambda found: _picture(ord(found[0])), text)


def _picture(code: int) -> str:
    if code < ord(" "):
        return chr(_PICTURES + code)
    return "␡" if code == 0x7F else f"[U+{code:04X}]"


def indent_of(text: str) -> str:
    """Return what one level of indentation is: the most frequent step from a line to a deeper one."""
    steps: dict[int, int] = {}
    tabs = last = 0
    for line in text.split("\n", _MOST_INDENT_LINES)[:_MOST_INDENT_LINES]:
        words = line.lstrip(" \t")
        if not words:
            continue
        if line.startswith("\t"):
            tabs += 1
            continue
        depth = len(line) - len(words)
        if depth > last:
            steps[depth - last] = steps.get(depth - last, 0) + 1
        last = depth
    if tabs > sum(steps.values()):
        return "\t"
    best = max(_INDENTS, key=lambda step: steps.get(step, 0))
    return " " * best if steps.get(best) else ""


def _characters(content: bytes, encoding: str, most_bytes: int) -> tuple[str, str, bool]:
    if len(content) > most_bytes:
        raise NotText("too-large")
    if is_lfs_pointer(content):
        raise NotText("lfs")
    used = encoding or _told_by_mark(content)
    mark = _BOMS.get(used, b"")
    has_bom = bool(mark) and content.startswith(mark)
    if used not in _WIDE and b"\0" in content:
        raise NotText("binary")
    text = _decoded(content[len(mark) :] if has_bom else content, used)
    if "\0" in text:
        raise NotText("binary")
    return text, used, has_bom


def _told_by_mark(content: bytes) -> str:
    return next((name for name, mark in _BOMS.items() if content.startswith(mark)), DEFAULT_ENCODING)


def _decoded(content: bytes, encoding: str) -> str:
    """Return the characters; refuses what would not become the same bytes again."""
    if encoding not in ENCODINGS:
        raise NotText("encoding")
    try:
        text = content.decode(encoding)
        is_same = text.encode(encoding) == content
    except UnicodeError as error:
        raise NotText("encoding") from error
    if not is_same:
        raise NotText("encoding")
    return text


def _written(text: str, style: Style) -> bytes:
    try:
        content = text.encode(style.encoding)
    except UnicodeEncodeError as error:
        line = len(_END.findall(text[: error.start])) + 1
        code = f"U+{ord(text[error.start]):04X}"
        name = ENCODINGS.get(style.encoding, style.encoding)
        raise Unwritable(f"Line {line} has the character {code}, which {name} can't write.") from error
    return (_BOMS.get(style.encoding, b"") if style.has_bom else b"") + content


def _ended(after: list[str], kept: dict[int, str]) -> str:
    parts: list[str] = []
    last = ""
    for number, line in enumerate(after):
        words = line.removesuffix("\n")
        end = kept[number] if line.endswith("\n") else ""
        if last == "\r" and not words and end == "\n":
            end = "\r"  # a lone CR and this LF would be one line end instead of two
        parts.append(words + end)
        last = end or last
    return "".join(parts)
