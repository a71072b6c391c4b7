"""Bodies of ``multipart/form-data`` (RFC 7578), with a parameter that HTTP libraries can't write."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_FORBIDDEN: Final = frozenset('"\\\r\n\0')


@dataclass(frozen=True, slots=True)
class Part:
    """A field, or, when it has a file name, a file. ``attributes`` is Bitbucket Cloud's ``x-attributes``."""

    name: str
    content: bytes
    filename: str | None = None
    attributes: str = ""


def multipart(parts: Sequence[Part]) -> tuple[str, bytes]:
    """Return the media type and the body.

    Raises ValueError for a name with a quotation mark, a backslash or a line break: there is no way to write
    those that all servers read alike, and a wrong guess would be a file of another name.
    """
    boundary = _boundary(parts)
    body = b"".join(
        b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, _head(part).encode(), part.content) for part in parts
    )
    return f"multipart/form-data; boundary={boundary.decode()}", body + b"--%s--\r\n" % boundary


def _boundary(parts: Sequence[Part]) -> bytes:
    while True:
        boundary = secrets.token_hex(16).encode()
        if not any(boundary in part.content for part in parts):
            return boundary


def _head(part: Part) -> str:
    for text in (part.name, part.filename or "", part.attributes):
        if _FORBIDDEN.intersection(text):
            raise ValueError("a name with a quotation mark, a backslash or a line break")
    lines = [f'Content-Disposition: form-data; name="{part.name}"']
    if part.filename is not None:
        lines[0] += f'; filename="{part.filename}"'
        lines.append("Content-Type: application/octet-stream")
    if part.attributes:
        lines[0] += f'; x-attributes="{part.attributes}"'
    return "\r\n".join(lines)
