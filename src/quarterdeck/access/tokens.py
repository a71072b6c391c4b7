"""Tokens: credentials of programs that act for a person, within a scope."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from quarterdeck.access import permissions, store
from quarterdeck.access.agents import plain
from quarterdeck.access.models import LABEL_LENGTH, EndReason, Person, Token, TokenRecord
from quarterdeck.access.rights import may_touch
from quarterdeck.core.actors import Actor, Scope
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.core.ids import new_id
from quarterdeck.core.security import new_token, token_digest
from quarterdeck.history.service import History

MARK: Final = "qd_"
"""Begins every token, so that scanners for leaked secrets can know one."""
MAX_DAYS: Final = 3650
TOKENS_OF_ONE: Final = 100
_PREFIX_LENGTH: Final = len(MARK) + 6
_SHOWN_AFTER_EXPIRY: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token at the only moment when its secret is known."""

    record: TokenRecord
    secret: str


class Tokens:
    """Makes and revokes tokens."""

    def __init__(
        self, db: Database, history: History, clock: Clock, *, forget: Callable[[list[str]], None]
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._forget = forget

    def create(
        self, actor: Actor, name: str, label: str, scope: Scope, *, expires_days: int | None
    ) -> NewToken:
        label = _checked_label(label)
        secret, now = MARK + new_token(), self._clock.now()
        expires_at = now + timedelta(days=_checked_days(expires_days)) if expires_days is not None else None
        expires = expires_at.isoformat() if expires_at else None
        detail = {"label": label, "scope": scope.value, "expires": expires}
        with (
            self._history.action(actor, "token.create", f"person:{name}", detail=detail),
            self._db.write() as session,
        ):
            person = self._owner(session, actor, name)
            _check_scope(person, scope)
            self._check_room(session, person, label)
            row = _row(person.id, label, scope, secret, now, expires_at)
            session.add(row)
            session.flush()
            return NewToken(row.record(person.name), secret)

    def revoke(self, actor: Actor, token_id: str) -> None:
        with self._db.read() as session:
            row = session.get(Token, token_id)
            owner = session.get(Person, row.person_id) if row and row.revoked_at is None else None
        if row is None or owner is None or not may_touch(actor, owner):
            raise NotFound("There is no such token, or it is revoked already.")
        detail = {"label": row.label, "id": token_id}
        with self._history.action(actor, "token.revoke", f"person:{owner.name}", detail=detail):
            with self._db.write() as session:
                current = session.get_one(Token, token_id, with_for_update=True)
                current.revoked_at = current.revoked_at or self._clock.now()
                current.revoked_reason = current.revoked_reason or EndReason.ENDED.value
            self._forget([token_id])

    def list_tokens(self, person_id: str | None) -> list[TokenRecord]:
        query = (
            select(Token, Person.name)
            .join(Person, Person.id == Token.person_id)
            .where(
                Token.revoked_at.is_(None),
                or_(Token.expires_at.is_(None), Token.expires_at > self._clock.now() - _SHOWN_AFTER_EXPIRY),
            )
            .order_by(Token.id.desc())
        )
        if person_id is not None:
            query = query.where(Token.person_id == person_id)
        with self._db.read() as session:
            return [row.record(name) for row, name in session.execute(query)]

    def _owner(self, session: Session, actor: Actor, name: str) -> Person:
        person = store.person_named(session, name)
        if not may_touch(actor, person):
            raise NotFound("There is no person of this name.")
        if person.disabled_at is not None:
            raise Conflict(f"{person.name} is disabled; enable the person first.")
        return person

    def _check_room(self, session: Session, person: Person, label: str) -> None:
        live = (
            Token.person_id == person.id,
            Token.revoked_at.is_(None),
            or_(Token.expires_at.is_(None), Token.expires_at > self._clock.now()),
        )
        if session.scalar(select(Token.id).where(*live, Token.label == label).limit(1)):
            raise Invalid({"label": f"{person.name} has a token of this name already; revoke it first."})
        if (session.scalar(select(func.count()).where(*live)) or 0) >= TOKENS_OF_ONE:
            raise Conflict(f"{person.name} has {TOKENS_OF_ONE} tokens; revoke those that are not used.")


def _checked_label(label: str) -> str:
    shown = plain(label, LABEL_LENGTH + 1)
    if not shown or shown != label.strip() or len(shown) > LABEL_LENGTH:
        raise Invalid({"label": f"Use 1 to {LABEL_LENGTH} visible characters, such as the program's name."})
    return shown


def _checked_days(days: int) -> int:
    if not 1 <= days <= MAX_DAYS:
        raise Invalid({"expires_days": f"Use 1 to {MAX_DAYS} days."})
    return days


def _check_scope(person: Person, scope: Scope) -> None:
    allowed = permissions.scope_limits(person.role_or_none)
    if scope in allowed:
        return
    if not allowed:
        raise Invalid({"scope": f"{person.name} has no role, and so nothing that a token could do."})
    raise Invalid({"scope": f"{person.name}'s role allows {' or '.join(allowed)} only."})


def _row(
    person_id: str, label: str, scope: Scope, secret: str, now: datetime, expires_at: datetime | None
) -> Token:
    return Token(
        id=new_id(),
        digest=token_digest(secret),
        prefix=secret[:_PREFIX_LENGTH],
        person_id=person_id,
        label=label,
        scope=scope.value,
        created_at=now,
        expires_at=expires_at,
    )
