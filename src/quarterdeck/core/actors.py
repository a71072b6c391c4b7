"""Who acts: a person, a token, a node, the system itself, or nobody."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Each role may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


class Scope(StrEnum):
    """What a token may do at most; each scope includes the ones before it."""

    READ = "read"
    RUN = "run"
    WRITE = "write"
    ADMIN = "admin"


class ActorKind(StrEnum):
    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    NODE = "node"
    SYSTEM = "system"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever stands behind a request or a job, as far as permission and record need it."""

    kind: ActorKind
    name: str
    address: str = ""
    role: Role | None = None
    scope: Scope | None = None
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
