"""Settings of which there are several by name, such as ``[identity.company]``: a table or variables each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quarterdeck.core.errors import QuarterdeckError


class SettingsError(QuarterdeckError):
    """A setting that stops the start; the message names it and the allowed values."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and the name to blame it by."""

    at: str
    value: Any  # Any: text, or what TOML holds


Keys = dict[str, Given]
ReadFile = Callable[[str, str], str]
"""From the name of a setting and a path to what stands in the file; raises SettingsError."""


def of_tables(section: str, tables: Mapping[str, Any], read_file: ReadFile) -> dict[str, Keys]:
    """Return what the tables of a section hold, by name and key; raises SettingsError for what is none."""
    given: dict[str, Keys] = {}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise SettingsError(f"{section}.{name} must be a table: [{section}.{name}].")
        keys = {key.lower(): Given(f"{section}.{name}.{key}", value) for key, value in table.items()}
        given[name] = _with_files(keys, read_file)
    return given


def of_variables(prefix: str, source: Mapping[str, str], read_file: ReadFile) -> dict[str, Keys]:
    """Return what variables such as ``<prefix>NAME_KEY`` hold, by name and key in lower case."""
    given: dict[str, Keys] = {}
    for variable, text in source.items():
        if variable.startswith(prefix) and text:
            name, _, key = variable.removeprefix(prefix).partition("_")
            given.setdefault(name.lower(), {})[key.lower()] = Given(variable, text)
    return {name: _with_files(keys, read_file) for name, keys in given.items()}


def read_keys(
    keys: Keys, readers: Mapping[str, Callable[[Any], Any]], what: str
) -> dict[str, Any]:  # Any: each reader returns what its field declares
    """Return the values; raises SettingsError for a key that ``what`` does not have, and for a bad value."""
    values: dict[str, Any] = {}
    for key, given in keys.items():
        read = readers.get(key)
        if read is None:
            raise SettingsError(f"{given.at} is not a setting of {what}; use {', '.join(readers)}.")
        try:
            values[key] = read(given.value)
        except ValueError as error:
            # The value is left out: it may be a secret that was put under the wrong name.
            raise SettingsError(f"{given.at} is not valid; it must be {error}.") from error
    return values


def _with_files(keys: Keys, read_file: ReadFile) -> Keys:
    read: Keys = {}
    for key, given in keys.items():
        if key.endswith("_file"):
            plain = key.removesuffix("_file")
            if plain not in keys:
                read[plain] = Given(given.at, read_file(given.at, str(given.value)))
        else:
            read[key] = given
    return read
