"""The one judge: what an actor may do. Pure and light, so that a worker judges by it too."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from quarterdeck.core.actors import Actor, ActorKind, Role, Scope

_ROLES: Final = tuple(Role)
_SCOPES: Final = tuple(Scope)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a verb asks for: a role of the person, and a scope of the token when one is used."""

    role: Role | None
    """None: anyone who is signed in, also without a role."""
    scope: Scope


_READ: Final = Rule(Role.VIEWER, Scope.READ)
_RUN: Final = Rule(Role.OPERATOR, Scope.RUN)
_WRITE: Final = Rule(Role.ADMINISTRATOR, Scope.WRITE)
_ADMIN: Final = Rule(Role.ADMINISTRATOR, Scope.ADMIN)

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "home.read": Rule(None, Scope.READ),
        "toast.read": Rule(None, Scope.READ),
        # A token that could make tokens or change the password would outgrow its scope.
        "person.self": Rule(None, Scope.ADMIN),
        "history.read": _READ,
        "history.export": _READ,
        "host.read": _READ,
        "base.read": _READ,
        "run.read": _READ,
        "node.read": _READ,
        "metrics.read": _READ,
        "host.test": _RUN,
        "run.start": _RUN,
        "run.cancel": _RUN,
        "toast.send": _RUN,
        "history.verify": _WRITE,
        "host.write": _WRITE,
        "base.write": _WRITE,
        "person.read": _ADMIN,
        "person.write": _ADMIN,
        "node.shutdown": _ADMIN,
    }
)
"""The verbs of people and their tokens."""

WORKER_VERBS: Final = frozenset({"worker.report", "worker.hand", "worker.dial"})
"""What a worker may do on its master."""

MASTER_VERBS: Final = frozenset({"master.order", "master.read"})
"""What the master may do on its worker."""


def may(actor: Actor, verb: str, object_: str = "") -> bool:
    """Tell whether the actor may do this; an unknown verb is never allowed.

    The object is asked for at every call, so that grants on single objects need no change elsewhere;
    roles and scopes alone don't look at it.
    """
    if actor.kind is ActorKind.NODE:
        return verb in (MASTER_VERBS if actor.name == "master" else WORKER_VERBS)
    rule = RULES.get(verb)
    if rule is None or actor.kind is ActorKind.NOBODY:
        return False
    if actor.kind is ActorKind.SYSTEM:
        return True
    return includes(actor.role, rule.role) and _scope_allows(actor, rule.scope)


def includes(role: Role | None, needed: Role | None) -> bool:
    """Tell whether a role may do what the needed one may."""
    if needed is None:
        return True
    return role is not None and _ROLES.index(role) >= _ROLES.index(needed)


def roles_within(role: Role | None) -> tuple[Role, ...]:
    """Return the role and those that it includes, least first."""
    return tuple(each for each in _ROLES if includes(role, each))


def scope_limits(role: Role | None) -> tuple[Scope, ...]:
    """Return the scopes that a person of this role may give to a token, least first."""
    widest = {None: 0, Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMINISTRATOR: len(_SCOPES)}[role]
    return _SCOPES[:widest]


def _scope_allows(actor: Actor, needed: Scope) -> bool:
    if actor.kind is not ActorKind.TOKEN:
        return True
    return actor.scope is not None and _SCOPES.index(actor.scope) >= _SCOPES.index(needed)
