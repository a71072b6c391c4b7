"""Settings: read once from the environment and ``quarterdeck.toml``, then never again.

The only reader of the environment. A bad or unknown value stops the start with the name of the
setting and what it may be. ``NAME_FILE`` reads a value from a file. The environment wins over
the file. Written by hand and not with pydantic-settings: that alone costs a worker 15 MB of its 60.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.pinning import read_pin

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class SettingsError(QuarterdeckError):
    """A setting that stops the start; the message names it and the allowed values."""


class NodeKind(StrEnum):
    MASTER = "master"
    WORKER = "worker"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class KeyExchange(StrEnum):
    """How SSH agrees on keys: ``fast`` is curve25519, ``post-quantum`` adds a hybrid before it."""

    FAST = "fast"
    POST_QUANTUM = "post-quantum"


@dataclass(frozen=True, slots=True)
class Bind:
    """An address to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def _bind(text: str) -> Bind:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError("an address and port such as 127.0.0.1:5000")
    return Bind(host.strip("[]") or "127.0.0.1", int(port))


def _boolean(text: str) -> bool:
    words = {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in words:
        raise ValueError("true or false")
    return words[text.lower()]


def _whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.removeprefix("-").isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return read


def _choice(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    def read(text: str) -> StrEnum:
        try:
            return kind(text.lower())
        except ValueError as error:
            raise ValueError(" or ".join(member.value for member in kind)) from error

    return read


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an http or https address such as https://deck.example.org")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
        raise ValueError("an https address (plain http is accepted on loopback only)")
    return text.rstrip("/")


def _secret(text: str) -> str:
    if len(text) < 24:
        raise ValueError("a secret of at least 24 characters")
    return text


def _level(text: str) -> str:
    if text.upper() not in (levels := ("DEBUG", "INFO", "WARNING", "ERROR")):
        raise ValueError(" or ".join(levels))
    return text.upper()


def _setting(
    read: Callable[[str], Any],  # Any: each reader returns the type that its field declares
    default: Any,
    about: str,
    *aliases: str,
    secret: bool = False,
) -> Any:
    """Declare a setting; ``aliases`` are the reference systems' names for it."""
    metadata = {"read": read, "about": about, "aliases": aliases, "secret": secret}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that two installations may need to set differently; documented in docs/settings.md."""

    node_type: NodeKind = _setting(
        _choice(NodeKind), NodeKind.MASTER, "What this node is: master or worker.", "SELFSERVICE_TYPE"
    )
    home: Path = _setting(
        lambda text: Path(text).expanduser().resolve(),
        Path("~/.local/share/quarterdeck").expanduser(),
        "Folder of everything that is kept.",
    )
    bind: Bind = _setting(_bind, Bind("127.0.0.1", 5000), "Where a master listens.")
    worker_bind: Bind = _setting(_bind, Bind("127.0.0.1", 5001), "Where a worker listens.")
    public_url: str = _setting(_url, "", "The address that people open, when a proxy stands in front.")
    trusted_proxies: int = _setting(
        _whole(0, 8), 0, "How many proxies in front add X-Forwarded-For; 0 believes none."
    )
    database_url: str = _setting(str, "", "Database; SQLite in the home when empty.")
    master_url: str = _setting(_url, "", "Where a worker finds its master.", "MASTER_URL")
    master_bearer_token: str = _setting(
        _secret,
        "",
        "What a worker's master must show; made on first start when empty.",
        "MASTER_BEARER_TOKEN",
        secret=True,
    )
    worker_bearer_token: str = _setting(
        _secret, "", "What a worker shows to its master; given by the master when empty.", secret=True
    )
    master_pin: str = _setting(
        read_pin, "", "SHA-256 fingerprint of the only certificate that a worker accepts of its master."
    )
    dial_out: bool = _setting(
        _boolean, False, "Let a worker listen nowhere and keep a line open to its master instead."
    )
    join_code: str = _setting(
        str,
        "",
        "One-time code by which a worker joins its master; no longer looked at once it has.",
        secret=True,
    )
    worker_commands_on_master: bool = _setting(
        _boolean, False, "Let workers hand commands, and not only built-in tasks, to the master."
    )
    debug: bool = _setting(_boolean, False, "Log at level DEBUG.", "DEBUG")
    log_level: str = _setting(_level, "INFO", "Least level that is logged.")
    log_format: LogFormat = _setting(_choice(LogFormat), LogFormat.TEXT, "Lines for people or for machines.")
    log_megabytes: int = _setting(_whole(1, 1024), 10, "Size at which the log file is rotated, in MB.")
    log_files: int = _setting(_whole(1, 100), 5, "How many rotated log files are kept.")
    threads: int = _setting(_whole(2, 128), 16, "Threads that serve pages and the JSON API.")
    body_megabytes: int = _setting(_whole(1, 1024), 16, "Largest request body, in MB.")
    session_hours: int = _setting(_whole(1, 720), 12, "How long a sign-in lasts without use.")
    stock_socketio: bool = _setting(
        _boolean, False, "Use python-socketio's own broadcast instead of the cheap one."
    )
    ssh_key_exchange: KeyExchange = _setting(
        _choice(KeyExchange), KeyExchange.FAST, "Key exchange that SSH offers first."
    )
    ssh_connect_seconds: int = _setting(_whole(1, 300), 10, "Limit for connecting to an SSH host.")
    run_timeout_seconds: int = _setting(_whole(1, 604800), 3600, "Limit of a run that names none.")
    run_concurrency: int = _setting(_whole(1, 1000), 100, "Hosts that all runs together work on at once.")
    duplicate_seconds: int = _setting(
        _whole(0, 3600), 10, "How long after its end a run still warns of the same one."
    )
    health_seconds: int = _setting(_whole(1, 3600), 10, "How often the master asks its workers for health.")
    history_segment_megabytes: int = _setting(
        _whole(1, 4096), 256, "Size at which a history file is closed, in MB."
    )

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'quarterdeck.db'}"


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings; ``overrides`` (from the command line, already typed) win. Raises SettingsError."""
    environment = os.environ if environment is None else environment
    home = overrides.get("home") or _home(environment)
    from_file = _read_toml(home / "quarterdeck.toml")
    _check_names(environment, from_file)
    values: dict[str, Any] = {"home": home}
    for item in fields(Settings):
        if item.name == "home":
            continue
        text = _lookup(environment, from_file, [variable_name(item.name), *item.metadata["aliases"]])
        if text:
            values[item.name] = _convert(variable_name(item.name), item.metadata["read"], text)
    return Settings(**values | {name: value for name, value in overrides.items() if value is not None})


def _check_names(environment: Mapping[str, str], from_file: Mapping[str, str]) -> None:
    """Raise SettingsError for a name that means nothing; the environment has many that are not ours."""
    known = {variable_name(item.name) for item in fields(Settings)}
    aliases = {alias for item in fields(Settings) for alias in item.metadata["aliases"]}
    own = [name for name in environment if name.startswith("QUARTERDECK_")]
    for names, allowed in ((from_file, known | aliases), (own, known)):
        for name in names:
            if name.removesuffix("_FILE") not in allowed:
                raise SettingsError(f"{name} is not a setting; docs/settings.md lists them.")


def environment_of(settings: Settings, **overrides: str) -> dict[str, str]:
    """Return the environment of a node started by this one: this one's own, and all settings spelt out."""
    spelt = {
        variable_name(item.name): setting_text(getattr(settings, item.name))
        for item in fields(Settings)
        if getattr(settings, item.name) != item.default
    }
    return {**os.environ, **spelt, **overrides}


def setting_text(value: object) -> str:
    """Return a value as one would write it in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def variable_name(setting: str) -> str:
    """Return the environment variable of a setting: ``bind`` is ``QUARTERDECK_BIND``."""
    return "SELFSERVICE_TYPE" if setting == "node_type" else f"QUARTERDECK_{setting.upper()}"


def _home(environment: Mapping[str, str]) -> Path:
    home = next(item for item in fields(Settings) if item.name == "home")
    if home.default is MISSING:
        raise SettingsError("QUARTERDECK_HOME must be set.")
    text = environment.get("QUARTERDECK_HOME")
    path: Path = home.metadata["read"](text) if text else home.default
    return path


def _lookup(environment: Mapping[str, str], from_file: Mapping[str, str], names: list[str]) -> str | None:
    for source in (environment, from_file):
        for name in names:
            if source.get(name):
                return source[name]
            if path := source.get(f"{name}_FILE"):
                return _read_secret_file(f"{name}_FILE", path)
    return None


def _read_secret_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{name} names {path}, which can't be read: {error.strerror}.") from error


def _read_toml(path: Path) -> dict[str, str]:
    """Return the file's settings by their variable names; keys may be written in lower case."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    return {key.upper(): str(value) for key, value in content.items()}


def _convert(name: str, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        # The value is left out: it may be a secret that was put under the wrong name.
        raise SettingsError(f"{name} is not valid; it must be {error}.") from error
