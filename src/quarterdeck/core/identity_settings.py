"""Identity providers in the settings: a table or a set of variables each, checked before the start."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from quarterdeck.core.actors import Role
from quarterdeck.core.identity_values import LOOPBACK_NAMES, READERS, ProviderKind, Rules
from quarterdeck.core.named_settings import (
    Given,
    Keys,
    ReadFile,
    SettingsError,
    of_tables,
    of_variables,
    read_keys,
)
from quarterdeck.core.setting_values import secret

PREFIX: Final = "QUARTERDECK_IDENTITY_"
SECTION: Final = "IDENTITY"
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,31}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One identity provider."""

    name: str
    kind: ProviderKind = ProviderKind.OIDC
    label: str = ""
    """What the button says."""
    issuer: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    """Empty for a public client, which PKCE alone protects."""
    scopes: tuple[str, ...] = ()
    groups_claim: str = "groups"
    required_group: str = ""
    default_role: Role | None = None
    """The role of somebody to whom no rule gives one, where there are rules."""
    role_rules: Rules = ()
    group_rules: Rules = ()
    web_url: str = "https://github.com"
    api_url: str = "https://api.github.com"
    given_by: tuple[str, ...] = field(default=(), compare=False)
    """The names under which its settings stand, never what they say."""

    @property
    def gives_roles(self) -> bool:
        """Tell whether the provider decides on roles; else they are given by hand."""
        return bool(self.role_rules) or self.default_role is not None

    @property
    def reads_groups(self) -> bool:
        return bool(self.required_group or self.role_rules or self.group_rules)


def read_providers(
    environment: Mapping[str, str],
    tables: Mapping[str, Any],  # Any: what TOML holds
    flat: Mapping[str, str],
    *,
    read_file: ReadFile,
) -> tuple[ProviderSettings, ...]:
    """Return the providers by name. Variables win over tables; raises SettingsError with the bad name."""
    given = of_tables("identity", tables, read_file)
    for source in (flat, environment):
        for name, keys in of_variables(PREFIX, source, read_file).items():
            given.setdefault(name, {}).update(keys)
    for source in (flat, environment):
        for name, keys in _of_aliases(source, read_file).items():
            given.setdefault(name, keys)
    return tuple(_provider(name, given[name]) for name in sorted(given))


def is_provider_variable(name: str) -> bool:
    """Tell whether a variable belongs to a provider; whether it is a good one is told when it is read."""
    return name.startswith(PREFIX) or name.removesuffix("_FILE") in ALIASES


ALIASES: Final[Mapping[str, tuple[str, str]]] = {
    "SDB_OPENID_ISSUER_URL": ("openid", "issuer"),
    "SDB_OPENID_CLIENT_ID": ("openid", "client_id"),
    "SDB_OPENID_CLIENT_SECRET": ("openid", "client_secret"),
    "SDB_OPENID_REQUIRED_GROUP": ("openid", "required_group"),
    "SDB_GITHUB_CLIENT_ID": ("github", "client_id"),
    "SDB_GITHUB_CLIENT_SECRET": ("github", "client_secret"),
}
"""The reference system's names; there a provider exists when all of its settings are given."""
_ALIASES_NEEDED: Final = {
    "openid": {"issuer", "client_id", "client_secret"},
    "github": {"client_id", "client_secret"},
}


def _of_aliases(source: Mapping[str, str], read_file: ReadFile) -> dict[str, Keys]:
    given: dict[str, Keys] = {}
    for alias, (name, key) in ALIASES.items():
        text = source.get(alias, "")
        if not text and (path := source.get(f"{alias}_FILE")):
            text = read_file(f"{alias}_FILE", path)
        if text:
            given.setdefault(name, {})[key] = Given(alias, _unquoted(text))
    for name, keys in given.items():
        keys["kind"] = Given(name, "github" if name == "github" else "oidc")
        keys["label"] = Given(name, "GitHub" if name == "github" else "OpenID")
    return {name: keys for name, keys in given.items() if _ALIASES_NEEDED[name] <= set(keys)}


def _unquoted(text: str) -> str:
    """The reference system reads values as JSON where they are; only texts in quotes matter here."""
    if text[:1] != '"':
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def _provider(name: str, keys: Keys) -> ProviderSettings:
    at = f"identity.{name}"
    if not _NAME.match(name):
        raise SettingsError(f"{at}: the name must be 1 to 32 lower-case letters and digits.")
    values = read_keys(keys, READERS, "a provider")
    # What an alias only implies stands under the provider's bare name.
    values["given_by"] = tuple(sorted({given.at for given in keys.values()} - {name}))
    return _complete(at, ProviderSettings(name=name, **values))


def _complete(at: str, provider: ProviderSettings) -> ProviderSettings:
    """Check what the settings of a provider are together, and fill in what follows from others."""
    is_github = provider.kind is ProviderKind.GITHUB
    needed = ("client_id", "client_secret") if is_github else ("issuer", "client_id")
    for key in needed:
        if not getattr(provider, key):
            raise SettingsError(f"{at}.{key} is needed for the kind {provider.kind}.")
    _check_secret(at, provider)
    if is_github and provider.issuer:
        raise SettingsError(f"{at}.issuer is not for the kind github; its server is web_url.")
    if not is_github and "openid" not in (provider.scopes or ("openid",)):
        raise SettingsError(f"{at}.scopes must include openid.")
    label = provider.label or ("GitHub" if is_github else provider.name.capitalize())
    changes: dict[str, Any] = {"label": label, "scopes": provider.scopes or _default_scopes(provider)}
    if is_github:
        changes["issuer"] = provider.web_url
    return _replace(provider, changes)


def _check_secret(at: str, provider: ProviderSettings) -> None:
    """Refuse what was copied from an example; on loopback, where it goes to a test, anything will do."""
    server = provider.web_url if provider.kind is ProviderKind.GITHUB else provider.issuer
    if not provider.client_secret or urlsplit(server).hostname in LOOPBACK_NAMES:
        return
    try:
        secret(provider.client_secret)
    except ValueError as error:
        raise SettingsError(f"{at}.client_secret is not valid; it must be {error}.") from error


def _default_scopes(provider: ProviderSettings) -> tuple[str, ...]:
    if provider.kind is ProviderKind.OIDC:
        return ("openid", "profile")
    return ("read:user", "read:org") if provider.reads_groups else ("read:user",)


def _replace(provider: ProviderSettings, changes: Mapping[str, Any]) -> ProviderSettings:
    kept = {name: getattr(provider, name) for name in ProviderSettings.__slots__}
    return ProviderSettings(**kept | dict(changes))
