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
from typing import Any

from quarterdeck.core.identity_settings import (
    PREFIX,
    SECTION,
    ProviderSettings,
    is_provider_variable,
    read_providers,
)
from quarterdeck.core.identity_values import LOOPBACK_NAMES as LOOPBACK_NAMES
from quarterdeck.core.identity_values import web_address
from quarterdeck.core.named_settings import SettingsError as SettingsError
from quarterdeck.core.pinning import read_pin
from quarterdeck.core.place_settings import PREFIX as PLACE_PREFIX
from quarterdeck.core.place_settings import SECTION as PLACE_SECTION
from quarterdeck.core.place_settings import PlaceSettings, is_place_variable, read_places
from quarterdeck.core.setting_values import boolean, choice, choices, join_code, level, secret, whole, zone
from quarterdeck.core.zones import UTC_NAME


class NodeKind(StrEnum):
    MASTER = "master"
    WORKER = "worker"


class Surface(StrEnum):
    """What a master serves; those whose capability does not exist yet add nothing (docs/surfaces.md)."""

    CONSOLE = "console"
    PIPELINES = "pipelines"
    STATUS = "status"
    NOTEBOOKS = "notebooks"
    LIVE = "live"


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


def _url(text: str) -> str:
    return web_address(text).rstrip("/")


def _tables(_text: str) -> tuple[ProviderSettings, ...]:
    raise ValueError(
        f"tables [identity.NAME] of quarterdeck.toml, or variables {PREFIX}NAME_ISSUER and so on"
    )


def _place_tables(_text: str) -> tuple[PlaceSettings, ...]:
    raise ValueError(
        f"tables [place.NAME] of quarterdeck.toml, or variables {PLACE_PREFIX}NAME_KIND and so on"
    )


def server_address(text: str) -> str:
    """Return the address of a master to speak to; raises ValueError with what it must be."""
    if "@" in text or any(character.isspace() for character in text):
        raise ValueError("an address without a name, a password or spaces")
    return _url(text)


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
        choice(NodeKind), NodeKind.MASTER, "What this node is: master or worker.", "SELFSERVICE_TYPE"
    )
    home: Path = _setting(
        lambda text: Path(text).expanduser().resolve(),
        Path("~/.local/share/quarterdeck").expanduser(),
        "Folder of everything that is kept.",
    )
    bind: Bind = _setting(_bind, Bind("127.0.0.1", 5000), "Where a master listens.")
    worker_bind: Bind = _setting(_bind, Bind("127.0.0.1", 5001), "Where a worker listens.")
    surfaces: tuple[Surface, ...] = _setting(
        choices(Surface), tuple(Surface), "What a master serves; see [surfaces](surfaces.md)."
    )
    live_public: bool = _setting(
        boolean, False, "Show the live page of the master's machine to anybody, without a sign-in."
    )
    metrics_token: str = _setting(
        secret,
        "",
        "What Prometheus may show at `/metrics` of a master or a worker, and nowhere else.",
        secret=True,
    )
    public_url: str = _setting(_url, "", "The address that people open, when a proxy stands in front.")
    trusted_proxies: int = _setting(
        whole(0, 8), 0, "How many proxies in front add X-Forwarded-For; 0 believes none."
    )
    database_url: str = _setting(str, "", "Database; SQLite in the home when empty.")
    master_url: str = _setting(_url, "", "Where a worker finds its master.", "MASTER_URL")
    master_bearer_token: str = _setting(
        secret,
        "",
        "What a worker's master must show; made on first start when empty.",
        "MASTER_BEARER_TOKEN",
        secret=True,
    )
    worker_bearer_token: str = _setting(
        secret, "", "What a worker shows to its master; given by the master when empty.", secret=True
    )
    master_pin: str = _setting(
        read_pin, "", "SHA-256 fingerprint of the only certificate that a worker accepts of its master."
    )
    dial_out: bool = _setting(
        boolean, False, "Let a worker listen nowhere and keep a line open to its master instead."
    )
    join_code: str = _setting(
        join_code,
        "",
        "One-time code by which a worker joins its master; no longer looked at once it has.",
        secret=True,
    )
    worker_commands_on_master: bool = _setting(
        boolean, False, "Let workers hand commands, and not only built-in tasks, to the master."
    )
    server: str = _setting(
        server_address, "", "The master that the command line speaks to over its API, as --server."
    )
    token_file: str = _setting(str, "", "File with the API token for that, as --token-file.")
    ca_file: str = _setting(str, "", "Authorities (PEM) that vouch for that master, as --ca-file.")
    server_pin: str = _setting(
        read_pin, "", "SHA-256 fingerprint of the only certificate accepted of that master, as --pin."
    )
    debug: bool = _setting(boolean, False, "Log at level DEBUG.", "DEBUG")
    log_level: str = _setting(level, "INFO", "Least level that is logged.")
    log_format: LogFormat = _setting(choice(LogFormat), LogFormat.TEXT, "Lines for people or for machines.")
    log_megabytes: int = _setting(whole(1, 1024), 10, "Size at which the log file is rotated, in MB.")
    log_files: int = _setting(whole(1, 100), 5, "How many rotated log files are kept.")
    threads: int = _setting(whole(2, 128), 16, "Threads that serve pages and the JSON API.")
    body_megabytes: int = _setting(whole(1, 1024), 16, "Largest request body, in MB.")
    session_hours: int = _setting(whole(1, 720), 12, "How long a sign-in lasts without use.")
    session_days: int = _setting(whole(1, 365), 30, "The end of a sign-in however busy it is.")
    api_access_minutes: int = _setting(whole(1, 60), 10, "How long an API client's access token counts.")
    api_refresh_days: int = _setting(
        whole(1, 365), 30, "How long an API client may renew its tokens before it signs in again."
    )
    link_minutes: int = _setting(whole(1, 1440), 15, "How long a one-time link to sign in counts.")
    invitation_hours: int = _setting(
        whole(1, 720), 168, "How long the link counts that a person who was just added signs in by."
    )
    reset_link_hours: int = _setting(
        whole(1, 168), 24, "How long a link counts by which somebody chooses a new password."
    )
    break_glass_minutes: int = _setting(
        whole(1, 60), 15, "How long a link counts that was made on the machine itself, past any lock-out."
    )
    time_zone: str = _setting(
        zone, UTC_NAME, "Time zone of the pages for whoever chose none, such as Europe/Zurich."
    )
    local_sign_in: bool = _setting(
        boolean, True, "Let people sign in by password; off leaves identity providers and one-time links."
    )
    identity: tuple[ProviderSettings, ...] = _setting(
        _tables,
        (),
        "Identity providers: tables `[identity.NAME]` or `QUARTERDECK_IDENTITY_NAME_…`; see below.",
    )
    place: tuple[PlaceSettings, ...] = _setting(
        _place_tables,
        (),
        "Places of files: tables `[place.NAME]` or `QUARTERDECK_PLACE_NAME_…`; see below.",
    )
    record_file_views: bool = _setting(
        boolean, False, "Put each look at a file into the history, and not only downloads and changes."
    )
    pipeline_token: str = _setting(
        secret,
        "",
        "What programs that report pipelines must show; nobody may when empty.",
        "TOKEN",
        secret=True,
    )
    monitoring_key: str = _setting(
        secret, "", "Signs the monitoring's tokens; none count when empty.", "SDB_SECRET_KEY", secret=True
    )
    monitoring_claim: str = _setting(
        str, "stackmon", "The claim that each of the monitoring's tokens must have.", "SDB_API_PAYLOAD_KEY"
    )
    notebook_key: str = _setting(
        secret, "", "Signs the notebooks' tokens; none count when empty.", "JWT_SECRET_KEY", secret=True
    )
    stock_socketio: bool = _setting(
        boolean, False, "Use python-socketio's own broadcast instead of the cheap one."
    )
    ssh_key_exchange: KeyExchange = _setting(
        choice(KeyExchange), KeyExchange.FAST, "Key exchange that SSH offers first."
    )
    ssh_connect_seconds: int = _setting(whole(1, 300), 10, "Limit for connecting to an SSH host.")
    run_timeout_seconds: int = _setting(whole(1, 604800), 3600, "Limit of a run that names none.")
    run_concurrency: int = _setting(whole(1, 1000), 100, "Hosts that all runs together work on at once.")
    duplicate_seconds: int = _setting(
        whole(0, 3600), 10, "How long after its end a run still warns of the same one."
    )
    health_seconds: int = _setting(whole(1, 3600), 10, "How often the master asks its workers for health.")
    samples_fine_hours: int = _setting(
        whole(3, 168), 24, "How long samples of hosts are kept in steps of 15 s, in hours."
    )
    samples_medium_days: int = _setting(
        whole(1, 366), 30, "How long their least, mean and most of each 5 min are kept, in days."
    )
    samples_coarse_days: int = _setting(whole(1, 3660), 366, "How long those of each hour are kept, in days.")
    sample_seconds: int = _setting(
        whole(1, 3600), 15, "How often each node samples its machine and says so, while nobody looks at it."
    )
    watched_sample_seconds: int = _setting(
        whole(1, 3600), 1, "How often it does while somebody looks at that host."
    )
    ssh_sample_tag: str = _setting(
        str, "", "Tag of the SSH hosts whose figures are read through a shell channel; none when empty."
    )
    file_branch_hours: int = _setting(
        whole(1, 8760),
        72,
        "How long a temporary branch of a change of files is kept without a commit; its text is kept longer.",
    )
    history_segment_megabytes: int = _setting(
        whole(1, 4096), 256, "Size at which a history file is closed, in MB."
    )

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'quarterdeck.db'}"


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings; ``overrides`` (from the command line, already typed) win. Raises SettingsError."""
    environment = os.environ if environment is None else environment
    home = overrides.get("home") or _home(environment)
    from_file, sections = _read_toml(home / "quarterdeck.toml")
    _check_names(environment, from_file)
    values: dict[str, Any] = {"home": home}
    for item in fields(Settings):
        if item.name == "home":
            continue
        text = _lookup(environment, from_file, [variable_name(item.name), *item.metadata["aliases"]])
        if text:
            values[item.name] = _convert(variable_name(item.name), item.metadata["read"], text)
    read_file = _read_secret_file
    values["identity"] = read_providers(environment, sections[SECTION], from_file, read_file=read_file)
    values["place"] = read_places(environment, sections[PLACE_SECTION], from_file, read_file=read_file)
    settings = Settings(**values | {name: value for name, value in overrides.items() if value is not None})
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    """Raise SettingsError for values that are good by themselves only."""
    if not settings.local_sign_in and not settings.identity and settings.node_type is NodeKind.MASTER:
        raise SettingsError(
            "QUARTERDECK_LOCAL_SIGN_IN is off and there is no identity provider, so nobody could sign in; "
            "set one up, or leave it on."
        )
    if settings.session_hours > settings.session_days * 24:
        raise SettingsError(
            f"QUARTERDECK_SESSION_HOURS is {settings.session_hours}, longer than QUARTERDECK_SESSION_DAYS "
            f"allows ({settings.session_days} days); make it at most {settings.session_days * 24}."
        )


def _check_names(environment: Mapping[str, str], from_file: Mapping[str, str]) -> None:
    """Raise SettingsError for a name that means nothing; the environment has many that are not ours."""
    known = {variable_name(item.name) for item in fields(Settings)}
    aliases = {alias for item in fields(Settings) for alias in item.metadata["aliases"]}
    own = [name for name in environment if name.startswith("QUARTERDECK_")]
    for names, allowed in ((from_file, known | aliases), (own, known)):
        for name in names:
            is_known = {name, name.removesuffix("_FILE")} & allowed
            if not is_known and not is_provider_variable(name) and not is_place_variable(name):
                raise SettingsError(f"{name} is not a setting; docs/settings.md lists them.")


def environment_of(settings: Settings, **overrides: str) -> dict[str, str]:
    """Return the environment of a node started by this one: this one's own, and all settings spelt out."""
    spelt = {
        variable_name(item.name): setting_text(getattr(settings, item.name))
        for item in fields(Settings)
        # A started node reads these where this one did: the environment, the home's file.
        if item.name not in ("identity", "place") and getattr(settings, item.name) != item.default
    }
    return {**os.environ, **spelt, **overrides}


def setting_text(value: object) -> str:
    """Return a value as one would write it in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


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


def _read_toml(path: Path) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return the file's settings by their variable names, in any case of letters, and its tables."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        content = {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}") from error
    by_name = {key.upper(): value for key, value in content.items()}
    sections = {name: by_name.pop(name, {}) for name in (SECTION, PLACE_SECTION)}
    for name, tables in sections.items():
        if not isinstance(tables, dict):
            raise SettingsError(f"{name.lower()} in {path} must be tables: [{name.lower()}.NAME].")
    return {name: str(value) for name, value in by_name.items()}, sections


def _convert(name: str, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        # The value is left out: it may be a secret that was put under the wrong name.
        raise SettingsError(f"{name} is not valid; it must be {error}.") from error
