"""The WSGI environment of an ASGI request (PEP 3333)."""

import io
import sys
from functools import lru_cache
from typing import IO, Any, Final, Self
from urllib.parse import unquote_to_bytes

from quarterdeck.core.asgi import Scope
from quarterdeck.core.errors import Invalid
from quarterdeck.core.peer import peer_of

FILE_CHUNK_BYTES: Final = 64 * 1024
PUT_OFF: Final = "quarterdeck.put_off"
"""Where an application leaves what is to be waited for, on the loop, before it is asked again."""
HAS_WAITED: Final = "quarterdeck.has_waited"
"""Whether it is asked again; missing under a server that can't wait for it."""


class FileChunks:
    """``wsgi.file_wrapper``: a file in pieces large enough for the hop between thread and loop.

    Werkzeug answers a range by seeking in it, and closes what ``iter`` gives, so it is its own iterator.
    """

    def __init__(self, file: IO[bytes], block_size: int = FILE_CHUNK_BYTES) -> None:
        self._file = file
        self._size = max(block_size, FILE_CHUNK_BYTES)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = self._file.read(self._size)
        if not chunk:
            raise StopIteration
        return chunk

    def close(self) -> None:
        self._file.close()

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int) -> None:
        self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


def make_environ(scope: Scope, body: bytes, trusted_proxies: int) -> dict[str, Any]:
    """Return the environment; raises Invalid for a request that names its host twice."""
    peer = peer_of(scope, trusted_proxies)
    server = scope.get("server") or ("localhost", None)
    query = scope["query_string"].decode("latin-1")
    raw = raw_path(scope)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": scope.get("root_path", "").encode().decode("latin-1"),
        "PATH_INFO": path_info(scope),
        "QUERY_STRING": query,
        "REQUEST_URI": f"{raw}?{query}" if query else raw,
        "RAW_URI": f"{raw}?{query}" if query else raw,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": peer.address,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": peer.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileChunks,
    }
    _add_headers(environ, scope)
    if peer.host:
        environ["HTTP_HOST"] = peer.host
    if body or "CONTENT_LENGTH" in environ:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def raw_path(scope: Scope) -> str:
    """Return the path as it was sent, still encoded."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1")


def path_info(scope: Scope) -> str:
    """Return the decoded path below the root path, one character a byte as PEP 3333 has it.

    Decoded from the raw path: the server's own decoding loses bytes that are not UTF-8.
    """
    decoded = unquote_to_bytes(raw_path(scope)).decode("latin-1")
    root: str = scope.get("root_path", "").encode().decode("latin-1")
    return decoded.removeprefix(root) if root else decoded


def _add_headers(environ: dict[str, Any], scope: Scope) -> None:
    for name, value in scope["headers"]:
        key = _variable(name)
        if not key:
            continue
        text = value.decode("latin-1")
        if key not in environ:
            environ[key] = text
        elif key == "HTTP_HOST":
            raise Invalid({"host": "A request names one host."})
        else:
            environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + text


@lru_cache(maxsize=512)
def _variable(name: bytes) -> str:
    """Return a header's variable, or an empty text for one that must not reach the application.

    A name with an underscore would pass for the same name with a dash (a forged X_Forwarded_For);
    ``Proxy`` would set the proxy of outgoing calls; the body is buffered, so it is no longer chunked.
    """
    if b"_" in name or name in (b"proxy", b"transfer-encoding"):
        return ""
    variable = name.decode("latin-1").upper().replace("-", "_")
    return variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"
