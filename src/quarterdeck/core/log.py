"""Logging to the console and to a rotating file, with the request id in each line and no secret in any."""

import json
import logging
import os
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from quarterdeck.core.config import LogFormat, Settings
from quarterdeck.core.security import private_directory

request_id: ContextVar[str] = ContextVar("request_id", default="-")

_LINE: Final = "%(asctime)s %(levelname)-7s %(request_id)s %(name)s: %(message)s"
_SECRETS: Final = (
    re.compile(r"(?i)(bearer\s+)[\w.~+/=-]{8,}"),
    re.compile(r"(?i)(basic\s+)[\w+/=-]{8,}"),
    re.compile(r"(?i)((?:password|passwd|secret|token|private_key)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+"),
    re.compile(r"(?i)(\b(?:code|sid)=)[^\s\"'&,;}]+"),  # not "exit code: 1"
    re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)"),
    re.compile(r"(/sign-in/link/)[\w-]+"),
    re.compile(r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
)
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def redact(text: str) -> str:
    """Return the text with anything that looks like a bearer, password or private key replaced."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1[secret]", text)
    return text


def _one_line(text: str) -> str:
    """Escape what would forge a second line or drive a terminal."""
    return text.replace("\n", "\\n").translate(_CONTROLS)


class _TextFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        record.message = _one_line(redact(record.message))
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - the library's name
        lines = redact(super().formatException(ei)).split("\n")  # type: ignore[arg-type]  # the base class names it wider
        return "\n".join(f"    {line.translate(_CONTROLS)}" for line in lines)  # set in: no forged line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "request": getattr(record, "request_id", "-"),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True


class _PrivateFile(RotatingFileHandler):
    """A log file that only its owner may read, from the first byte of each rotation on."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding)


def _private_file(path: Path, settings: Settings) -> RotatingFileHandler:
    return _PrivateFile(
        path, maxBytes=settings.log_megabytes * 1_000_000, backupCount=settings.log_files, encoding="utf-8"
    )


def configure_logging(settings: Settings) -> None:
    """Send every logger to standard error and to ``logs/<node>.log`` in the home."""
    folder = private_directory(settings.home / "logs")
    handlers: list[logging.Handler] = [
        logging.StreamHandler(sys.stderr),
        _private_file(folder / f"{settings.node_type}.log", settings),
    ]
    formatter = _JsonFormatter() if settings.log_format is LogFormat.JSON else _TextFormatter(_LINE)
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.addFilter(_add_request_id)
        root.addHandler(handler)
    root.setLevel("DEBUG" if settings.debug else settings.log_level)
    for noisy in ("asyncssh", "httpx", "httpcore", "engineio", "socketio", "alembic", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.INFO if settings.debug else logging.WARNING)
