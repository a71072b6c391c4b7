"""Prometheus as a caller: by a token of its own, which counts for its figures and for nothing else."""

from typing import Final

from quarterdeck.core.actors import Actor, ActorKind, Level, Role, Scope
from quarterdeck.core.security import same

PATHS: Final = ("/metrics", "/metrics/hosts")
NAME: Final = "prometheus"
_SCHEME: Final = "bearer "
_SCOPES: Final = (Scope(Level.READ, "node"), Scope(Level.READ, "hosts"))


def reader_of_master(path: str, authorization: str, token: str, address: str) -> Actor | None:
    """Return who shows the token of ``QUARTERDECK_METRICS_TOKEN`` on one of the paths, else None."""
    if not _is_shown(path, authorization, token):
        return None
    return Actor(ActorKind.TOKEN, NAME, address, role=Role.VIEWER, scopes=_SCOPES)


def reader_of_worker(path: str, authorization: str, token: str, address: str) -> Actor | None:
    """As ``reader_of_master``; a worker knows no roles."""
    return Actor(ActorKind.MACHINE, NAME, address) if _is_shown(path, authorization, token) else None


def _is_shown(path: str, authorization: str, token: str) -> bool:
    if not token or path not in PATHS or not authorization.lower().startswith(_SCHEME):
        return False
    return same(authorization[len(_SCHEME) :].strip(), token)
