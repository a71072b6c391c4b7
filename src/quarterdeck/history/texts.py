"""Text that comes from outside: made fit to keep on the way in, and harmless on the way out."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from quarterdeck.core.log import redact

LONGEST: Final = 16_000
"""Characters of one text in a record; the rest is replaced by its length and digest."""

_MOST_ITEMS: Final = 2_000
_DEEPEST: Final = 8
_SECRET_NAMES: Final = frozenset(
    {"password", "passwd", "passphrase", "private_key", "secret", "bearer", "authorization"}
)
_HIDDEN: Final = "[secret]"


def kept(text: str) -> str:
    """Return text as the record keeps it: valid Unicode, without secrets, not endless."""
    if len(text) > LONGEST:
        digest = sha256(text.encode(errors="replace")).hexdigest()
        text = f"{text[:LONGEST]}… [{len(text) - LONGEST} more characters, SHA-256 of all {digest}]"
    if not text.isascii():
        text = text.encode(errors="backslashreplace").decode()
    return redact(text) if _is_suspect(text) else text


def kept_name(label: str) -> str:
    """Return an actor's label as it is: ``token:ada/backup`` names a token, and must not pass for one."""
    return label if label.isascii() else label.encode(errors="backslashreplace").decode()


def kept_detail(detail: Mapping[str, Any] | None) -> dict[str, Any]:  # Any: what JSON holds
    """Return a detail as the record keeps it; a value under a secret's name is hidden whole."""
    return _kept_members(detail, 0) if detail else {}


def visible(text: str) -> str:
    """Return text in which nothing moves, hides or turns what stands around it: it is escaped instead."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def visible_lines(text: str) -> str:
    """Return visible text that keeps its line breaks and tabs, for where these are shown."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def guarded_cell(text: str) -> str:
    """Return a cell of CSV that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else text


def _kept_members(detail: Mapping[str, Any], depth: int) -> dict[str, Any]:
    return {
        kept(str(name)): _HIDDEN
        if value and str(name).lower() in _SECRET_NAMES
        else _kept_value(value, depth)
        for name, value in list(detail.items())[:_MOST_ITEMS]
    }


def _kept_value(value: Any, depth: int) -> Any:  # Any: what JSON holds
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return kept(str(value))  # also of an enumeration, whose plain value it becomes
    if depth < _DEEPEST and isinstance(value, Mapping):
        return _kept_members(value, depth + 1)
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_kept_value(item, depth + 1) for item in list(value)[:_MOST_ITEMS]]
    return kept(str(value))


def _is_suspect(text: str) -> bool:
    """Tell cheaply whether the patterns of ``redact`` can apply at all; most texts are short and plain."""
    if "=" in text or ":" in text or "-----" in text:
        return True
    return "bearer" in text.lower()


def _shown(character: str) -> str:
    if character.isprintable() or character == " ":
        return character
    code = ord(character)
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
