"""Tokens: credentials of programs that act for a person, within a scope."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.agents import plain
from quarterdeck.access.models import LABEL_LENGTH, EndReason, Person, RefreshFamily, Token, TokenRecord
from quarterdeck.access.rights import may_touch
from quarterdeck.access.scopes import allows, include, levels_for, read_scopes, scopes_text
from quarterdeck.core.actors import Actor, ActorKind, Grant, Scope
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
MOST_TAGS: Final = 20
MOST_OVERLAP_HOURS: Final = 168
TAG_LENGTH: Final = 40
_PREFIX_LENGTH: Final = len(MARK) + 6
_SHOWN_AFTER_EXPIRY: Final = timedelta(days=30)
_GONE: Final = "There is no such token, or it is revoked already."


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
        self,
        actor: Actor,
        name: str,
        label: str,
        scope: str,
        *,
        expires_days: int | None,
        host_tags: Collection[str] | None,
    ) -> NewToken:
        label, scopes, tags = _checked_label(label), read_scopes(scope), _checked_tags(host_tags)
        secret, now = MARK + new_token(), self._clock.now()
        expires_at = now + timedelta(days=_checked_days(expires_days)) if expires_days is not None else None
        expires = _stamp(expires_at)
        detail = {"label": label, "scope": scopes_text(scopes), "expires": expires, "host_tags": tags}
        object_ = store.object_named(self._db, name)
        with (
            self._history.action(actor, "token.create", object_, detail=detail) as outcome,
            self._db.write() as session,
        ):
            person = self._owner(session, actor, name)
            _check_scopes(person, scopes, store.grants_of(session, person))
            _check_own_limits(actor, scopes, tags)
            self._check_own_end(session, actor, expires_at)
            self._check_room(session, person, label)
            row = _row(person.id, label, scopes, tags, secret, now, expires_at)
            session.add(row)
            session.flush()
            outcome |= {"id": row.id, "after": detail}
            return NewToken(row.record(person.name), secret)

    def rotate(self, actor: Actor, token_id: str, *, overlap_hours: int) -> NewToken:
        """Make a new secret of the same kind; the old one ends after the overlap."""
        if not 0 <= overlap_hours <= MOST_OVERLAP_HOURS:
            raise Invalid({"overlap_hours": f"Use 0 to {MOST_OVERLAP_HOURS} hours."})
        old, owner = self._live(actor, token_id)
        secret, now = MARK + new_token(), self._clock.now()
        expires_at = now + (old.expires_at - old.created_at) if old.expires_at else None
        until = now + timedelta(hours=overlap_hours)
        detail = {"label": old.label, "id": token_id, "old_until": until.isoformat()}
        with self._history.action(actor, "token.rotate", f"person:{owner.name}", detail=detail) as outcome:
            with self._db.write() as session:
                current = session.get_one(Token, token_id, with_for_update=True)
                if current.revoked_at is not None:
                    raise NotFound(_GONE)
                scopes, tags = read_scopes(current.scope), current.host_tags
                _check_own_limits(actor, scopes, tags)
                self._check_own_end(session, actor, expires_at)
                row = _row(owner.id, current.label, scopes, tags, secret, now, expires_at)
                session.add(row)
                if overlap_hours:
                    current.expires_at = min(current.expires_at or until, until)
                else:
                    current.revoked_at, current.revoked_reason = now, EndReason.ROTATED.value
                session.flush()
                made = NewToken(row.record(owner.name), secret)
            outcome |= {
                "new": made.record.id,
                "before": {"id": token_id, "expires": _stamp(old.expires_at)},
                "after": {"id": made.record.id, "expires": _stamp(expires_at)},
            }
            self._forget([] if overlap_hours else [token_id])
        return made

    def revoke(self, actor: Actor, token_id: str) -> None:
        row, owner = self._live(actor, token_id)
        detail = {"label": row.label, "id": token_id}
        with self._history.action(actor, "token.revoke", f"person:{owner.name}", detail=detail) as outcome:
            before = {"label": row.label, "scope": row.scope, "expires": _stamp(row.expires_at)}
            outcome |= {"before": before, "after": {}}
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

    def _live(self, actor: Actor, token_id: str) -> tuple[Token, Person]:
        """Return a token that is not revoked, with its owner; raises NotFound for a foreign one too."""
        with self._db.read() as session:
            row = session.get(Token, token_id)
            owner = session.get(Person, row.person_id) if row and row.revoked_at is None else None
        if row is None or owner is None or not may_touch(actor, owner):
            raise NotFound(_GONE)
        return row, owner

    def _check_own_end(self, session: Session, actor: Actor, expires_at: datetime | None) -> None:
        """Raise Invalid when a token would make one that outlives itself."""
        if actor.kind is not ActorKind.TOKEN or actor.credential_id is None:
            return
        own = session.get(Token, actor.credential_id) or session.get(RefreshFamily, actor.credential_id)
        last = own.expires_at if own else None
        if last is not None and (expires_at is None or expires_at > last):
            raise Invalid({"expires_days": "A token can't make one that outlives itself."})

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


def _check_scopes(person: Person, scopes: tuple[Scope, ...], grants: tuple[Grant, ...]) -> None:
    allowed = levels_for(person.role_or_none, grants)
    if not allowed:
        raise Invalid({"scope": f"{person.name} has no role, and so nothing that a token could do."})
    if not all(allows(person.role_or_none, grants, scope) for scope in scopes):
        raise Invalid({"scope": f"{person.name}'s rights allow {' or '.join(allowed)} only."})


def _check_own_limits(actor: Actor, scopes: tuple[Scope, ...], tags: list[str] | None) -> None:
    """Raise Invalid when a token would make one that may do more than itself."""
    if actor.kind is not ActorKind.TOKEN:
        return
    if not include(actor.scopes, scopes):
        raise Invalid({"scope": "A token can't make one that may do more than itself."})
    if actor.host_tags is not None and (tags is None or not actor.host_tags.issuperset(tags)):
        raise Invalid({"host_tags": "A token can't make one that reaches further than itself."})


def _checked_tags(tags: Collection[str] | None) -> list[str] | None:
    if tags is None:
        return None
    if not 1 <= len(tags) <= MOST_TAGS or not all(0 < len(tag) <= TAG_LENGTH for tag in tags):
        raise Invalid({"host_tags": f"Name 1 to {MOST_TAGS} tags of hosts, or none at all for no limit."})
    return sorted(set(tags))


def _row(
    person_id: str,
    label: str,
    scopes: tuple[Scope, ...],
    tags: list[str] | None,
    secret: str,
    now: datetime,
    expires_at: datetime | None,
) -> Token:
    return Token(
        id=new_id(),
        digest=token_digest(secret),
        prefix=secret[:_PREFIX_LENGTH],
        person_id=person_id,
        label=label,
        scope=scopes_text(scopes),
        host_tags=tags,
        created_at=now,
        expires_at=expires_at,
    )


def _stamp(moment: datetime | None) -> str | None:
    """Return a time for the record; None is never."""
    return moment.isoformat() if moment else None
