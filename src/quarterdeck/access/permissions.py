"""The one judge: what an actor may do, and why. Pure and light, so that a worker judges by it too."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from quarterdeck.core.actors import Actor, ActorKind, Level, Role, Scope, Target

_ROLES: Final = tuple(Role)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a verb asks for: a role of the person, and a scope of the token when one is used."""

    role: Role | None
    """None: anyone who is signed in, also without a role."""
    scope: Scope


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's answer, with the reason in words for people."""

    is_allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """Hosts that an actor gets at: those of these names, and those with one of these tags."""

    names: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


Within = tuple[Bounds, ...] | None
"""What somebody gets at: hosts that lie in each of these; None is every host."""


def _read(area: str) -> Rule:
    return Rule(Role.VIEWER, Scope(Level.READ, area))


def _run(area: str) -> Rule:
    return Rule(Role.OPERATOR, Scope(Level.RUN, area))


def _write(area: str) -> Rule:
    return Rule(Role.ADMINISTRATOR, Scope(Level.WRITE, area))


def _admin() -> Rule:
    """Whoever changes access could widen their own: only the scope that includes all of them will do."""
    return Rule(Role.ADMINISTRATOR, Scope(Level.ADMIN))


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "home.read": Rule(None, Scope(Level.READ, "home")),
        "toast.read": Rule(None, Scope(Level.READ, "toasts")),
        # A token that could make tokens or change the password would outgrow its scope.
        "person.self": Rule(None, Scope(Level.ADMIN)),
        "history.read": _read("history"),
        "history.export": _read("history"),
        "host.read": _read("hosts"),
        "base.read": _read("hosts"),
        "rule.read": _read("hosts"),
        "run.read": _read("runs"),
        "file.read": _read("files"),
        "node.read": _read("node"),
        "metrics.read": _read("node"),
        "host.test": _run("hosts"),
        "host.silence": _run("hosts"),
        "run.start": _run("runs"),
        "run.cancel": _run("runs"),
        "toast.send": _run("toasts"),
        # Looking is for reading, changing for operators; a place may ask for more (Target.roles).
        "file.write": Rule(Role.OPERATOR, Scope(Level.WRITE, "files")),
        "history.verify": _write("history"),
        "host.write": _write("hosts"),
        "base.write": _write("hosts"),
        "rule.write": _write("hosts"),
        "place.write": _write("files"),
        "person.read": _admin(),
        "person.write": _admin(),
        "node.shutdown": _admin(),
    }
)
"""The verbs of people and their tokens."""

AREAS: Final = tuple(sorted({rule.scope.area for rule in RULES.values() if rule.scope.area} - {"home"}))
"""Where a token's scope may be narrowed to."""

WORKER_VERBS: Final = frozenset({"worker.report", "worker.hand", "worker.dial"})
"""What a worker may do on its master."""

MASTER_VERBS: Final = frozenset({"master.order", "master.read"})
"""What the master may do on its worker."""

MACHINE_VERBS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "pipeline": frozenset({"pipeline.report"}),
        "status": frozenset({"status.report"}),
        "notebook": frozenset({"notebook.read"}),
        "notebook-refresh": frozenset({"notebook.refresh"}),
        # On a worker, where it is known for one path only (metrics/prometheus/reader.py).
        "prometheus": frozenset({"master.read"}),
    }
)
"""What the clients of each foreign format may do, by the first word of their names."""

ON_HOSTS: Final = frozenset({"host.read", "host.test", "host.silence", "run.read", "run.start", "run.cancel"})
"""The verbs that grants give and that a token limited to tags keeps; each host is asked for on its own."""
ON_PLACES: Final = frozenset({"file.read", "file.write"})
"""The verbs that grants on places of files give."""
ON_OBJECTS: Final = ON_HOSTS | ON_PLACES
_GRANTED_ON: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    dict.fromkeys(ON_HOSTS, frozenset({"host", "tag"})) | dict.fromkeys(ON_PLACES, frozenset({"place"}))
)
"""On which kinds of object a grant gives a verb."""
_ALWAYS: Final = frozenset({"home.read"})


def may(actor: Actor, verb: str, object_: str | Target = "") -> bool:
    """Tell whether the actor may do this; an unknown verb is never allowed.

    Without an object the answer is whether there can be one for which it is allowed: right for a menu
    or the way into a page, never enough for the object itself.
    """
    return judge(actor, verb, object_).is_allowed


def judge(actor: Actor, verb: str, object_: str | Target = "") -> Verdict:
    """Answer as ``may``, with the reason."""
    if actor.kind is ActorKind.NODE:
        return _fixed(actor, verb, MASTER_VERBS if actor.name == "master" else WORKER_VERBS)
    if actor.kind is ActorKind.MACHINE:
        return _fixed(actor, verb, MACHINE_VERBS.get(actor.name.partition(":")[0], frozenset()))
    rule = RULES.get(verb)
    if rule is None:
        return Verdict(False, f"{verb} is not for people or tokens.")
    if actor.kind is ActorKind.NOBODY:
        return Verdict(False, "Nobody is signed in.")
    if actor.kind is ActorKind.SYSTEM:
        return Verdict(True, "This is the node itself, or its command line.")
    target = object_ if isinstance(object_, Target) else Target(object_)
    return _limited(actor, verb, rule, target) or _given(actor, verb, rule, target)


def reason(actor: Actor, verb: str) -> str:
    """Say why an actor may, or may not, do something at all."""
    return judge(actor, verb).reason


def bounds_of(actor: Actor, verb: str) -> Within:
    """Return where a verb of ``ON_HOSTS`` is allowed: in each of these; None means on every host.

    The same question as ``judge`` answers for one host, for lists of them.
    """
    if not may(actor, verb):
        return (Bounds(),)
    rule = RULES.get(verb)
    if rule is None or actor.kind is ActorKind.SYSTEM:
        return None
    limits = []
    if actor.kind is ActorKind.TOKEN and actor.host_tags is not None:
        limits.append(Bounds(tags=actor.host_tags))
    if not includes(actor.role, rule.role):
        limits.append(_granted(actor, rule))
    return tuple(limits) or None


def _granted(actor: Actor, rule: Rule) -> Bounds:
    objects = [g.object.partition(":") for g in actor.grants if g.level.includes(rule.scope.level)]
    return Bounds(
        frozenset(name for kind, _, name in objects if kind == "host"),
        frozenset(name for kind, _, name in objects if kind == "tag"),
    )


def includes(role: Role | None, needed: Role | None) -> bool:
    """Tell whether a role may do what the needed one may."""
    if needed is None:
        return True
    return role is not None and _ROLES.index(role) >= _ROLES.index(needed)


def roles_within(role: Role | None) -> tuple[Role, ...]:
    """Return the role and those that it includes, least first."""
    return tuple(each for each in _ROLES if includes(role, each))


def _fixed(actor: Actor, verb: str, verbs: frozenset[str]) -> Verdict:
    if verb in verbs:
        return Verdict(True, f"{actor.label} is there for this.")
    return Verdict(False, f"{actor.label} may do nothing but {', '.join(sorted(verbs)) or 'wait'}.")


def _limited(actor: Actor, verb: str, rule: Rule, target: Target) -> Verdict | None:
    """Return a refusal by the token's limits, whatever its person may."""
    if actor.kind is not ActorKind.TOKEN or (verb in _ALWAYS and actor.scopes):
        return None
    if not any(scope.includes(rule.scope) for scope in actor.scopes):
        return Verdict(False, f"The token's scope does not include {rule.scope}.")
    if actor.host_tags is None:
        return None
    if verb not in ON_HOSTS:
        return Verdict(False, "The token is limited to hosts with certain tags, and this is not about hosts.")
    if target.name and not actor.host_tags & target.tags:
        return Verdict(False, f"The token is limited to hosts tagged {', '.join(sorted(actor.host_tags))}.")
    return None


def _given(actor: Actor, verb: str, rule: Rule, target: Target) -> Verdict:
    """Answer by the role or else a grant."""
    if rule.role is None:
        return Verdict(True, "Everybody who is signed in may.")
    needed = _needed(rule, target)
    if includes(actor.role, needed):
        return Verdict(True, f"The role {actor.role} may.")
    kinds = _GRANTED_ON.get(verb, frozenset())
    for grant in actor.grants:
        is_meant = grant.kind in kinds and (not target.name or grant.covers(target))
        if is_meant and grant.level.includes(rule.scope.level):
            by = f" through the group {grant.group}" if grant.group else ""
            return Verdict(True, f"Granted: {grant.level} on {grant.object}{by}.")
    or_grant = " or a grant" if kinds else ""
    return Verdict(False, f"It takes the role {needed}{or_grant}, which an administrator can give.")


def _needed(rule: Rule, target: Target) -> Role | None:
    """Return the least role: the verb's, or the object's own where that is higher."""
    own = target.role_for(rule.scope.level)
    return own if own is not None and includes(own, rule.role) else rule.role
