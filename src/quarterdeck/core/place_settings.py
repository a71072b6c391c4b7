"""Places of files in the settings: a table or a set of variables each.

Only what a value is by itself is checked here; what makes a place is checked by files/place_drafts.py,
before the start too.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from quarterdeck.core.actors import Role
from quarterdeck.core.named_settings import Keys, ReadFile, SettingsError, of_tables, of_variables, read_keys

PREFIX: Final = "QUARTERDECK_PLACE_"
SECTION: Final = "PLACE"
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,31}\Z")
_KINDS: Final = ("local", "cloud", "datacenter")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSettings:
    """One place of files."""

    name: str
    kind: str
    url: str = ""
    project: str = ""
    """Of Bitbucket Cloud the workspace."""
    repository: str = ""
    default_branch: str = ""
    allowed_paths: tuple[str, ...] = ()
    username: str = ""
    token: str = field(default="", repr=False)
    authorities: str = ""
    read_role: Role = Role.VIEWER
    write_role: Role = Role.OPERATOR


def read_places(
    environment: Mapping[str, str],
    tables: Mapping[str, Any],  # Any: what TOML holds
    flat: Mapping[str, str],
    *,
    read_file: ReadFile,
) -> tuple[PlaceSettings, ...]:
    """Return the places by name. Variables win over tables; raises SettingsError with the bad name."""
    given = of_tables("place", tables, read_file)
    for source in (flat, environment):
        for name, keys in of_variables(PREFIX, source, read_file).items():
            given.setdefault(name, {}).update(keys)
    return tuple(_place(name, given[name]) for name in sorted(given))


def is_place_variable(name: str) -> bool:
    """Tell whether a variable belongs to a place; whether it is a good one is told when it is read."""
    return name.startswith(PREFIX)


def _place(name: str, keys: Keys) -> PlaceSettings:
    at = f"place.{name}"
    if not _NAME.match(name):
        raise SettingsError(f"{at}: the name must be 1 to 32 lower-case letters and digits.")
    values = read_keys(keys, READERS, "a place")
    if "workspace" in values:
        values.setdefault("project", values.pop("workspace"))
    if "kind" not in values:
        raise SettingsError(f"{at}.kind is needed: {' or '.join(_KINDS)}.")
    return PlaceSettings(name=name, **values)


def _text(most: int) -> Callable[[Any], str]:  # Any: what TOML holds
    def read(value: Any) -> str:
        if not isinstance(value, str) or len(value.strip()) > most or not value.strip().isprintable():
            raise ValueError(f"a text of at most {most} characters")
        return value.strip()

    return read


def _block(value: Any) -> str:  # Any: what TOML holds
    if not isinstance(value, str) or len(value) > 64 * 1024:
        raise ValueError("a text of at most 64 KB")
    return value


def _kind(value: Any) -> str:  # Any: what TOML holds
    if value not in _KINDS:
        raise ValueError(" or ".join(_KINDS))
    return str(value)


def _role(value: Any) -> Role:  # Any: what TOML holds
    try:
        return Role(str(value).lower())
    except ValueError as error:
        raise ValueError(" or ".join(Role)) from error


def _texts(value: Any) -> tuple[str, ...]:  # Any: what TOML holds
    items: Iterable[Any] = value if isinstance(value, list) else str(value).split(",")
    return tuple(item.strip() for item in items if isinstance(item, str) and item.strip())


READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "kind": _kind,
    "url": _text(500),
    "workspace": _text(128),
    "project": _text(128),
    "repository": _text(128),
    "default_branch": _text(250),
    "allowed_paths": _texts,
    "username": _text(254),
    "token": _text(4096),
    "authorities": _block,
    "read_role": _role,
    "write_role": _role,
}
