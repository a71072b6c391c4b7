"""Keys that programs send with the start of a run: sent again, it is the same run and starts nothing.

A program that hears no answer can't know whether its run began. With a key of its own making it just asks
again.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import delete
from sqlalchemy.orm import Session

from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.tasks.models import IdempotencyKey

HEADER: Final = "Idempotency-Key"
KEPT: Final = timedelta(hours=24)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}\Z")


@dataclass(frozen=True, slots=True)
class Once:
    """A key with what was sent under it."""

    key: str
    body_hash: str


class KeyUsed(Conflict):
    """The key has started a run with the same body."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"This {HEADER} has started run {run_id}.", replay_of=run_id)
        self.run_id = run_id


def once(key: str, body: Mapping[str, Any]) -> Once:  # Any: JSON
    """Return a key with the mark of a body, which does not depend on the order of its members.

    Raises Invalid for what can't be a key.
    """
    if not _KEY.match(key):
        raise Invalid({HEADER: "Send 1 to 200 visible ASCII characters."})
    mark = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()
    return Once(key, mark)


def owner_of(actor: Actor) -> str:
    """Return whose key it is: a person's, whichever of their tokens sends it."""
    return actor.person_id or actor.label


def check_unused(session: Session, owner: str, sent: Once, now: datetime) -> None:
    """Raise KeyUsed when this key has started a run, and Invalid when it did so with another body."""
    row = session.get(IdempotencyKey, (owner, sent.key))
    if row is None or row.created_at <= now - KEPT:
        return
    if row.body_hash != sent.body_hash:
        raise Invalid({HEADER: "This key has started a run with another body; take a new key for this one."})
    raise KeyUsed(row.run_id)


def keep(session: Session, owner: str, sent: Once, run_id: str, now: datetime) -> None:
    """Remember that a key has started a run, and forget the keys of more than a day ago."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at <= now - KEPT))
    session.add(
        IdempotencyKey(owner=owner, key=sent.key, body_hash=sent.body_hash, run_id=run_id, created_at=now)
    )
