"""What is taken over of a provider's word about somebody, once it is proved who speaks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from quarterdeck.access.providers.faults import Fault

_LONGEST_SUBJECT: Final = 255
_LONGEST_TEXT: Final = 128
_LONGEST_GROUP: Final = 255
_MOST_GROUPS: Final = 2_000

Values = Mapping[str, Any]  # Any: what JSON holds; nothing is taken over unlooked at


@dataclass(frozen=True, slots=True)
class Claims:
    """Somebody at a provider. Issuer and subject alone say who it is; the rest is for show and for rules."""

    issuer: str
    subject: str
    login: str = ""
    display_name: str = ""
    groups: frozenset[str] = frozenset()
    id_token: str = field(default="", repr=False)
    """What the provider wants to see again at sign-out."""


def read_subject(values: Values) -> str:
    """Return ``sub``: 1 to 255 printable ASCII characters (OpenID Connect Core, 2)."""
    subject = values.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= _LONGEST_SUBJECT:
        raise Fault("sub is missing or no text of 1 to 255 characters")
    if not subject.isascii() or not subject.isprintable():
        raise Fault("sub is no printable ASCII")
    return subject


def read_groups(values: Values, claim: str) -> frozenset[str]:
    """Return the groups: a list of texts and nothing else, since a plain text would match by its parts."""
    groups = values.get(claim)
    if groups is None:
        return frozenset()
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise Fault("the groups claim is not a list of texts")
    if len(groups) > _MOST_GROUPS or any(len(group) > _LONGEST_GROUP for group in groups):
        raise Fault("the groups claim is too long")
    return frozenset(groups)


def read_text(values: Values, *names: str) -> str:
    """Return the first of these claims that is a text, on one line and cut; empty when none is."""
    for name in names:
        if isinstance(value := values.get(name), str) and value.strip():
            return "".join(each for each in value if each.isprintable()).strip()[:_LONGEST_TEXT]
    return ""
