"""Who acts: a person, a token, a node, a foreign client, the system itself, or nobody; and on what."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Each role may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


class Level(StrEnum):
    """How far a scope or a grant reaches; each level includes the ones before it."""

    READ = "read"
    RUN = "run"
    WRITE = "write"
    ADMIN = "admin"

    def includes(self, other: "Level") -> bool:
        return _LEVELS.index(self) >= _LEVELS.index(other)


_LEVELS: Final = tuple(Level)


class ActorKind(StrEnum):
    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    NODE = "node"
    MACHINE = "machine"
    """A client of a foreign format, by that format's own credential."""
    SYSTEM = "system"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token may do at most: a level, in one area such as ``runs`` or, without one, everywhere."""

    level: Level
    area: str = ""

    def __str__(self) -> str:
        return f"{self.area}:{self.level}" if self.area else self.level.value

    def includes(self, other: "Scope") -> bool:
        return self.area in ("", other.area) and self.level.includes(other.level)


@dataclass(frozen=True, slots=True)
class Target:
    """An object of a verb, with what grants and limits look at besides its name."""

    name: str
    """As the history writes it: ``host:web1``, ``run:01J…``."""
    tags: frozenset[str] = frozenset()
    roles: tuple[tuple[Level, Role], ...] = ()
    """The least role for a level, where the object asks for more than the verb does."""

    def __str__(self) -> str:
        return self.name

    def role_for(self, level: Level) -> Role | None:
        """Return the least role that the object itself asks for at a level, if it does."""
        return dict(self.roles).get(level)


@dataclass(frozen=True, slots=True)
class Grant:
    """A right on one object (``host:web1``, ``place:wiki``) or on all hosts with a tag, beside the role."""

    level: Level
    object: str
    group: str = ""
    """The group by which one has it; empty when it was given to oneself."""

    @property
    def kind(self) -> str:
        """What it is on: ``host``, ``tag`` or ``place``."""
        return self.object.partition(":")[0]

    def covers(self, target: Target) -> bool:
        kind, _, value = self.object.partition(":")
        return value in target.tags if kind == "tag" else self.object == target.name


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever stands behind a request or a job, as far as permission and record need it."""

    kind: ActorKind
    name: str
    address: str = ""
    role: Role | None = None
    scopes: tuple[Scope, ...] = ()
    """Of a token."""
    host_tags: frozenset[str] | None = None
    """Of a token that may touch only hosts with one of these tags."""
    grants: tuple[Grant, ...] = ()
    person_id: str | None = None
    credential_id: str | None = None
    """The id of the session or token that was shown, never the secret."""

    @property
    def label(self) -> str:
        """The name in the record: ``ada``, ``token:ada/backup``, ``node:worker``, ``system``."""
        if self.kind in (ActorKind.PERSON, ActorKind.SYSTEM, ActorKind.NOBODY):
            return self.name
        return f"{self.kind}:{self.name}"


NOBODY = Actor(ActorKind.NOBODY, "nobody")
SYSTEM = Actor(ActorKind.SYSTEM, "system")
