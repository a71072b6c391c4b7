"""A file as it is stored, as the answer to a download: never anything that a browser would show by itself."""

import hashlib
import io
import re
from typing import Final

from flask import Response, request, send_file

from quarterdeck.core import web
from quarterdeck.core.actors import Actor
from quarterdeck.files.forms import RawQuery
from quarterdeck.files.paths import shown
from quarterdeck.files.service import Files

_NOT_IN_NAME: Final = re.compile(r"[^\w.()\[\]+=@ -]")
_LONGEST_NAME: Final = 150


def answer_raw(actor: Actor, name: str, query: RawQuery) -> Response:
    """Return the file, or 304 when the client has it as it is at that commit."""
    looking, ref = web.part(Files).looking, query.checked_ref()
    etag = _etag(looking.resolve(actor, name, ref, query.path).commit, query.path)
    if request.if_none_match.contains(etag):
        response = Response(status=304)
        response.set_etag(etag)
        return response
    view, content = looking.download(actor, name, ref, query.path)
    response = send_file(
        io.BytesIO(content),
        mimetype=_media(content),
        as_attachment=True,
        download_name=download_name(query.path),
        etag=_etag(view.commit, query.path),
        max_age=0,
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Quarterdeck-Commit"] = view.commit
    return response


def download_name(path: str) -> str:
    """Return the name to save a file under: nothing that leads elsewhere, or reads backwards."""
    name = _NOT_IN_NAME.sub("_", shown(path.rpartition("/")[2])).strip(" ")
    return name[-_LONGEST_NAME:] or "file"


def _etag(commit: str, path: str) -> str:
    return hashlib.sha256(f"{commit}:{path}".encode()).hexdigest()[:40]


def _media(content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if b"\0" in content else "text/plain"
