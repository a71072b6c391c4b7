"""Changes of access as the history has them: which actions they are, and what each changed from and to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from quarterdeck.history.lines import Entry, Kind
from quarterdeck.history.rows import ActionRow

PEOPLE: Final = (
    "person.add", "person.disable", "person.enable", "person.password", "person.password_reset",
    "person.link", "person.link_use", "person.first_link", "person.lock",
)  # fmt: skip
ROLES: Final = ("person.role", "person.role_kept", "person.groups")
GRANTS: Final = ("grant.give", "grant.take")
TOKENS: Final = ("token.create", "token.rotate", "token.revoke")
SESSIONS: Final = ("session.end", "session.end_all")
IDENTITIES: Final = ("person.connect", "person.disconnect")
REFUSED: Final = ("login.refused", "login.limited", "token.refused", "person.lock")
KINDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "": ("All changes", PEOPLE + ROLES + GRANTS + TOKENS + SESSIONS + IDENTITIES),
    "people": ("People and passwords", PEOPLE),
    "roles": ("Roles and groups", ROLES),
    "grants": ("Grants", GRANTS),
    "tokens": ("Tokens", TOKENS),
    "sessions": ("Sessions ended by hand", SESSIONS),
    "identities": ("Identities connected", IDENTITIES),
    "sign-ins": ("Sign-ins and sign-outs", ("login", "logout")),
    "refused": ("Refused sign-ins and tokens", REFUSED),
    "denied": ("Denied looks and changes", ("person.read", "person.write", "person.self")),
}
"""What can be chosen on the page: its words, and the actions that it means."""

_WORDS: Final[Mapping[str, str]] = {
    "person.add": "Person added",
    "person.disable": "Person disabled",
    "person.enable": "Person enabled or unlocked",
    "person.password": "Password changed",
    "person.password_reset": "Password taken away",
    "person.link": "One-time link made",
    "person.link_use": "One-time link used",
    "person.first_link": "First administrator’s link made",
    "person.lock": "Locked after wrong passwords",
    "person.role": "Role changed",
    "person.role_kept": "Role kept",
    "person.groups": "Groups changed",
    "grant.give": "Grant given",
    "grant.take": "Grant taken back",
    "token.create": "Token made",
    "token.rotate": "Token rotated",
    "token.revoke": "Token revoked",
    "token.refused": "Token refused",
    "session.end": "Session ended",
    "session.end_all": "Sessions ended",
    "person.connect": "Identity connected",
    "person.disconnect": "Identity disconnected",
    "login": "Signed in",
    "login.api": "API client signed in",
    "login.refused": "Sign-in refused",
    "login.limited": "Too many tries",
    "logout": "Signed out",
    "person.read": "Look denied",
    "person.write": "Change denied",
    "person.self": "Own account denied",
}
_NAMES: Final[Mapping[str, str]] = {
    "has_password": "password",
    "host_tags": "hosts tagged",
    "ended": "sessions and tokens ended",
    "agent": "client",
    "from": "session from",
    "began": "signed in",
    "old_until": "old one until",
    "rules_give": "rules give",
}
_NOTES: Final = (
    "error", "reason", "label", "by", "from", "began", "agent", "ended", "old_until", "until", "failures",
    "rules_give",
)  # fmt: skip
"""What is told of a change beside before and after."""
_TIMES: Final = frozenset({"expires", "began", "old_until", "until"})

Told = tuple[str, str | datetime]
"""A name in words, and its value: text, or a time that the page shows in the reader's zone."""


@dataclass(frozen=True, slots=True)
class Change:
    """One action on access: its end, or its beginning while it is open."""

    entry: Entry
    intent: Entry | None
    result: str

    @property
    def is_plain(self) -> bool:
        """Tell whether it happened as its words say, so that no result need be told."""
        return self.result in ("ok", Kind.EVENT)

    @property
    def words(self) -> str:
        return _WORDS.get(self.entry.action, self.entry.action)

    @property
    def before(self) -> list[Told]:
        return _told(self.entry.detail.get("before"))

    @property
    def after(self) -> list[Told]:
        return _told(self.entry.detail.get("after"))

    @property
    def notes(self) -> list[Told]:
        """What else is known: why, from where, and how much ended with it."""
        known = (self.intent.detail if self.intent else {}) | self.entry.detail
        shown = {name for name, _ in self.before + self.after}
        return _told({name: known[name] for name in _NOTES if known.get(name) and name not in shown})

    @property
    def person(self) -> str:
        """The name of the person it is about, or nothing."""
        kind, _, name = self.entry.object.partition(":")
        return name if kind == "person" else ""


def change_of(row: ActionRow) -> Change:
    result = "denied" if row.entry.kind is Kind.DENIED else row.result
    return Change(row.entry, row.intent, result)


def actions_of(kind: str) -> str:
    """Return the actions of a kind as the history's filter takes them; all for a kind that is none."""
    return ",".join(KINDS.get(kind, KINDS[""])[1])


def object_of(about: str) -> str:
    """Return what was typed as an object of the history: a bare name is a person's."""
    return about if not about or ":" in about else f"person:{about}"


def _told(values: object) -> list[Told]:
    return list(_pairs(values)) if isinstance(values, Mapping) else []


def _pairs(values: Mapping[str, Any]) -> Iterator[Told]:  # Any: what JSON holds
    for name, value in values.items():
        if value not in ("", []):
            yield _NAMES.get(name, name), _value(name, value)


def _value(name: str, value: Any) -> str | datetime:  # Any: what JSON holds
    if name in _TIMES:
        return _time(value)
    if isinstance(value, bool):
        return "set" if value else "none"
    if value is None:
        return "all" if name == "host_tags" else "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _time(value: Any) -> str | datetime:  # Any: what JSON holds
    try:
        return datetime.fromisoformat(value) if value else "never"
    except (TypeError, ValueError):
        return str(value)
