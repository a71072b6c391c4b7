"""Scopes of tokens as text: ``read``, or ``hosts:read runs:run`` with a space between (RFC 6749, 3.3)."""

from collections.abc import Iterable
from typing import Final

from quarterdeck.access.permissions import AREAS, RULES, includes
from quarterdeck.core.actors import Grant, Level, Role, Scope
from quarterdeck.core.errors import Invalid

_WIDEST: Final = {Role.VIEWER: Level.READ, Role.OPERATOR: Level.RUN, Role.ADMINISTRATOR: Level.ADMIN}


def read_scopes(text: str) -> tuple[Scope, ...]:
    """Return the scopes of a text, without those that others include; raises Invalid."""
    scopes = {_scope(word) for word in text.split()}
    if not scopes:
        raise Invalid({"scope": f"Name at least one scope: {_choices()}."})
    kept = (scope for scope in scopes if not any(o != scope and o.includes(scope) for o in scopes))
    return tuple(sorted(kept, key=str))


def stored_scopes(text: str) -> tuple[Scope, ...]:
    """Return the scopes of a stored credential; what is none here, as another version's, opens nothing."""
    words = [word for word in text.split() if _is_scope(word) and not word.endswith(f":{Level.ADMIN}")]
    return tuple(map(_scope, words))


def scopes_text(scopes: Iterable[Scope]) -> str:
    """Return the scopes as they are stored and shown."""
    return " ".join(str(scope) for scope in scopes)


def levels_for(role: Role | None, grants: Iterable[Grant] = ()) -> tuple[Level, ...]:
    """Return the levels that a token of somebody with this role and these grants may have, least first."""
    held = [grant.level for grant in grants] + ([_WIDEST[role]] if role else [])
    return tuple(level for level in Level if any(each.includes(level) for each in held))


def allows(role: Role | None, grants: Iterable[Grant], scope: Scope) -> bool:
    """Tell whether a token of somebody with this role and these grants may have a scope.

    In one area a role may reach further than its level: operators change files, but nothing else by write.
    """
    of_area = (rule for rule in RULES.values() if scope.area and rule.scope.area == scope.area)
    reached = (rule.scope.level for rule in of_area if includes(role, rule.role))
    return scope.level in levels_for(role, grants) or any(level.includes(scope.level) for level in reached)


def include(wide: Iterable[Scope], narrow: Iterable[Scope]) -> bool:
    """Tell whether each of the narrow scopes lies in one of the wide ones."""
    wide = tuple(wide)
    return all(any(each.includes(scope) for each in wide) for scope in narrow)


def _scope(word: str) -> Scope:
    area, _, level = word.rpartition(":")
    if not _is_scope(word):
        raise Invalid({"scope": f"“{word[:40]}” is not a scope; use {_choices()}."})
    if area and level == Level.ADMIN:
        raise Invalid({"scope": f"The scope admin is not to be had for {area} alone."})
    return Scope(Level(level), area)


def _is_scope(word: str) -> bool:
    area, _, level = word.rpartition(":")
    return level in tuple(Level) and (not area or area in AREAS) and not word.startswith(":")


def _choices() -> str:
    return f"{', '.join(Level)}, or one of {', '.join(AREAS)} with read, run or write, such as runs:run"
