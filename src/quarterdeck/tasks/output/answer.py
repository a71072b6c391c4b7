"""The answer with a stream's raw bytes: from an offset, or a range of it, always as plain text."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flask import Response
from werkzeug.datastructures import Range
from werkzeug.http import parse_range_header

from quarterdeck.core import web
from quarterdeck.core.errors import Invalid
from quarterdeck.tasks.executor import Stream

_WHOLE_BYTES: Final = 1 << 20
"""Up to here an answer is one piece; a longer one is streamed."""
_PIECE_BYTES: Final = 256 * 1024
_NAMES: Final = {"out": Stream.OUT, "stdout": Stream.OUT, "err": Stream.ERR, "stderr": Stream.ERR}


@dataclass(frozen=True, slots=True)
class Asked:
    """What part of a stream is asked for; ``range_header`` wins over ``start``."""

    start: int = 0
    range_header: str = ""


def stream_named(name: str) -> Stream:
    """Return the stream of a name; raises Invalid."""
    if name not in _NAMES:
        raise Invalid({"stream": "The streams are out and err."})
    return _NAMES[name]


def answer_output(path: Path, size: int, asked: Asked, *, download: str = "") -> Response:
    """Answer the bytes of a file that may still grow: up to ``size``. ``download`` is a file name."""
    wanted = _span(size, asked)
    if wanted is None:
        refusal = web.problem(web.foreign_error(416, f"There are no such bytes; the stream has {size}."))
        return _measured(refusal, size, f"bytes */{size}")
    start, stop, is_part = wanted
    response = Response(_content(path, start, stop), 206 if is_part else 200)
    response.content_length = stop - start
    return _sealed(response, size, f"bytes {start}-{stop - 1}/{size}" if is_part else "", download)


def _span(size: int, asked: Asked) -> tuple[int, int, bool] | None:
    """Return start, stop and whether it is a part; None when there is no such part."""
    wanted = parse_range_header(asked.range_header or None)
    if not isinstance(wanted, Range) or len(wanted.ranges) != 1 or wanted.units != "bytes":
        return min(asked.start, size), size, False
    span = wanted.range_for_length(size)
    return (*span, True) if span else None


def _content(path: Path, start: int, stop: int) -> bytes | Iterator[bytes]:
    if stop <= start:
        return b""
    pieces = _pieces(path, start, stop)
    return b"".join(pieces) if stop - start <= _WHOLE_BYTES else web.while_same(pieces)


def _pieces(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(_PIECE_BYTES, stop - start))):
            start += len(piece)
            yield piece


def _sealed(response: Response, size: int, content_range: str, download: str) -> Response:
    """Put on the headers that make it text and nothing else, whatever a command printed."""
    response.headers["Content-Type"] = "text/plain; charset=utf-8"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if download:
        response.headers["Content-Disposition"] = f'attachment; filename="{download}"'
    return _measured(response, size, content_range)


def _measured(response: Response, size: int, content_range: str) -> Response:
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["X-Output-Size"] = str(size)
    if content_range:
        response.headers["Content-Range"] = content_range
    return response
