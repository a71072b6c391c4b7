"""What makes two tasks the same: a normal form that changes only what surely makes no difference.

Where it is not provable that two spellings do the same, they count as different: then nobody is warned,
which is better than being kept from something else.
"""

import hashlib
import re
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from quarterdeck.protocol.tasks import BuiltinTask, CallTask, CommandTask, Task

_SECRET_HEADERS: Final = ("authorization", "cookie", "token", "secret", "password", "api-key", "apikey")
_TRACE_HEADERS: Final = ("x-request-id", "x-correlation-id", "idempotency-key", "user-agent")
_TRACE_PREFIXES: Final = ("x-trace", "trace", "x-b3-")
_BLANKS: Final = " \t\n"
_NOT_PLAIN: Final = re.compile(r"""['"`\\]|<<|\$[{(]""")
"""Where blanks may count: quotes, escapes, here-documents and what a shell expands by rules of its own."""
_PORTS: Final = {"http": 80, "https": 443}
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_~-]")  # not the dot: an escaped one is no dot segment everywhere


def fingerprint(task: Task) -> str:
    """Return what is equal for two tasks exactly when they do the same."""
    return hashlib.sha256(msgspec.json.encode(_normal_form(task))).hexdigest()


def is_secret(header: str) -> bool:
    """Tell whether a header looks like one whose value must not be kept."""
    return any(word in header.lower().replace("_", "-") for word in _SECRET_HEADERS)


def _normal_form(task: Task) -> list[str]:
    match task:
        case CommandTask():
            return ["command", normal_command(task.command)]
        case CallTask():
            body = hashlib.sha256(task.body.encode()).hexdigest()
            return ["call", task.method.upper(), normal_url(task.url), body, *_normal_headers(task)]
        case BuiltinTask():
            arguments = [f"{name}={value}" for name, value in sorted(task.arguments.items())]
            return ["builtin", task.name, *arguments]


def normal_command(command: str) -> str:
    """Return a command without the blanks that a shell ignores.

    Between words and at line ends they are ignored wherever nothing is quoted, escaped or expanded by rules
    of its own; elsewhere only what stands before and behind the whole is cut.
    """
    text = command.replace("\r\n", "\n").lstrip(_BLANKS)
    if not _NOT_PLAIN.search(text):
        lines = (re.sub(r"[ \t]+", " ", line).strip(" ") for line in text.rstrip(_BLANKS).split("\n"))
        return "\n".join(lines)
    cut = text.rstrip(_BLANKS)
    return text if cut.endswith("\\") else cut  # an escaped blank at the end is a word


def normal_url(url: str) -> str:
    """Return an address with scheme, host, port, dot segments and escapes in one spelling (RFC 3986, 6.2)."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    who, at, _ = parts.netloc.rpartition("@")
    path = _without_dots(_normal_escapes(parts.path)) or "/"
    return urlunsplit((parts.scheme, f"{who}{at}{host}", path, _normal_escapes(parts.query), ""))


def _without_dots(path: str) -> str:
    """Return a path as `remove_dot_segments` of RFC 3986, 5.2.4 leaves it."""
    kept: list[str] = []
    steps = path.split("/")
    for step in steps:
        if step == ".." and len(kept) > 1:
            kept.pop()
        elif step not in (".", ".."):
            kept.append(step)
    if steps[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)


def _normal_escapes(text: str) -> str:
    """Write escapes in upper case, and plainly what needs none."""

    def one(match: re.Match[str]) -> str:
        escape = match[0].upper()
        plain = unquote(escape, errors="replace")
        return plain if _UNRESERVED.fullmatch(plain) else escape

    return quote(re.sub(r"%[0-9A-Fa-f]{2}", one, text), safe="%/:?#[]@!$&'()*+,;=~")


def _normal_headers(call: CallTask) -> list[str]:
    """Return in one order the headers that say what a call does: not who asks, nor the mark of a request."""
    headers = {name.lower(): value.strip() for name, value in call.headers.items()}
    return [f"{name}: {value}" for name, value in sorted(headers.items()) if not _is_beside(name)]


def _is_beside(header: str) -> bool:
    return is_secret(header) or header in _TRACE_HEADERS or header.startswith(_TRACE_PREFIXES)
