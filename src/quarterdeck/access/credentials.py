"""From the secret that a request shows to the actor behind it: cheap, exact, and soon forgotten."""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Update, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.lifetimes import Lifetimes
from quarterdeck.access.models import ADDRESS_LENGTH, Person, RefreshFamily, SignInSession, Token
from quarterdeck.access.scopes import stored_scopes
from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.security import token_digest

logger = logging.getLogger(__name__)

REMEMBERED_SECONDS: Final = 1.0
"""How late a change by another process, such as the command line, is noticed at most."""
REMEMBERED: Final = 1024
USE_NOTED_EVERY: Final = timedelta(minutes=1)
_Credential = TypeVar("_Credential", SignInSession, Token, RefreshFamily)


@dataclass(frozen=True, slots=True)
class _Known:
    actor: Actor
    expires_at: datetime | None
    until: float


class Credentials:
    """Looks sessions and tokens up; what it found counts for a second, expiry is looked at every time."""

    def __init__(self, db: Database, clock: Clock, lifetimes: Lifetimes) -> None:
        self._db = db
        self._clock = clock
        self._lifetimes = lifetimes
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._generation = 0

    def by_cookie(self, cookie: str, address: str) -> Actor | None:
        """Return the person behind a session's cookie, or None when it is dead or was never made."""
        return self._actor(f"cookie {token_digest(cookie)}", address)

    def by_token(self, bearer: str, address: str) -> Actor | None:
        """Return the actor behind a token, or None when it is dead or was never made."""
        return self._actor(f"token {token_digest(bearer)}", address)

    def by_family(self, family_id: str, address: str) -> Actor | None:
        """Return the actor behind an API client's sign-in, or None when it has ended."""
        return self._actor(f"family {family_id}", address)

    def by_person(self, person_id: str) -> Actor | None:
        """Return a person without any credential, or None when disabled: for work done in her name."""
        return self._actor(f"person {person_id}", "")

    def forget(self) -> None:
        """Look everything up anew: called after each change of a person, session or token."""
        with self._lock:
            self._generation += 1
            self._known.clear()

    def __len__(self) -> int:
        return len(self._known)

    def _actor(self, key: str, address: str) -> Actor | None:
        with self._lock:
            known, generation = self._known.get(key), self._generation
        if known is None or self._clock.monotonic() >= known.until:
            known = self._look_up(key, address)
            self._remember(key, known, generation)
        if known is None or (known.expires_at is not None and self._clock.now() >= known.expires_at):
            return None
        return replace(known.actor, address=address)

    def _remember(self, key: str, known: _Known | None, generation: int) -> None:
        with self._lock:
            self._known.pop(key, None)
            if known is None or generation != self._generation:
                return  # what was read may be older than the change that made others forget
            self._known[key] = known
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def _look_up(self, key: str, address: str) -> _Known | None:
        kind, _, digest = key.partition(" ")
        if kind == "person":
            return self._person(digest)
        if kind == "family":
            return self._family(digest, address)
        return self._session(digest, address) if kind == "cookie" else self._token(digest, address)

    def _person(self, person_id: str) -> _Known | None:
        with self._db.read() as session:
            person = session.get(Person, person_id)
            if person is None or person.disabled_at is not None:
                return None
            actor = _acting(session, person)
        return self._known_now(actor, None)

    def _family(self, family_id: str, address: str) -> _Known | None:
        alive = (RefreshFamily.id == family_id, RefreshFamily.ended_at.is_(None))
        with self._db.read() as session:
            found = _with_owner(session, RefreshFamily, *alive)
            if found is None:
                return None
            row, person = found
            actor = _acting_by(session, person, row, "api")
        self._note_family_use(row, address)
        return self._known_now(actor, row.expires_at)

    def _session(self, digest: str, address: str) -> _Known | None:
        alive = (SignInSession.digest == digest, SignInSession.ended_at.is_(None))
        with self._db.read() as session:
            found = _with_owner(session, SignInSession, *alive)
            if found is None:
                return None
            row, person = found
            actor = replace(_acting(session, person), credential_id=row.id)
        return self._known_now(actor, self._note_session_use(row, address))

    def _token(self, digest: str, address: str) -> _Known | None:
        alive = (Token.digest == digest, Token.revoked_at.is_(None))
        with self._db.read() as session:
            found = _with_owner(session, Token, *alive)
            if found is None:
                return None
            row, person = found
            actor = _acting_by(session, person, row, row.label)
        self._note_token_use(row, address)
        return self._known_now(actor, row.expires_at)

    def _known_now(self, actor: Actor, expires_at: datetime | None) -> _Known:
        return _Known(actor, expires_at, self._clock.monotonic() + REMEMBERED_SECONDS)

    def _note_session_use(self, row: SignInSession, address: str) -> datetime:
        """Push the end of a session in use back, once a minute at most; returns the end that counts."""
        now = self._clock.now()
        if now >= row.expires_at or now - row.last_seen_at < USE_NOTED_EVERY:
            return row.expires_at
        expires_at = self._lifetimes.session_end(row.created_at, now)
        change = (
            update(SignInSession)
            .where(SignInSession.id == row.id, SignInSession.ended_at.is_(None))
            .values(last_seen_at=now, address=address[:ADDRESS_LENGTH], expires_at=expires_at)
        )
        return expires_at if self._note(change) else row.expires_at

    def _note_token_use(self, row: Token, address: str) -> None:
        now = self._clock.now()
        is_over = row.expires_at is not None and now >= row.expires_at
        if is_over or (row.last_used_at is not None and now - row.last_used_at < USE_NOTED_EVERY):
            return
        self._note(
            update(Token)
            .where(Token.id == row.id)
            .values(last_used_at=now, last_used_address=address[:ADDRESS_LENGTH])
        )

    def _note_family_use(self, row: RefreshFamily, address: str) -> None:
        now = self._clock.now()
        if now >= row.expires_at or now - row.last_used_at < USE_NOTED_EVERY:
            return
        self._note(
            update(RefreshFamily)
            .where(RefreshFamily.id == row.id, RefreshFamily.ended_at.is_(None))
            .values(last_used_at=now, address=address[:ADDRESS_LENGTH])
        )

    def _note(self, change: Update) -> bool:
        """Write when a credential was used; a full disk must not keep people out for that."""
        try:
            with self._db.write() as session:
                session.execute(change)
        except SQLAlchemyError:
            logger.warning("The last use of a session or token can't be written.", exc_info=True)
            return False
        return True


def _with_owner(
    session: Session, kind: type[_Credential], *alive: ColumnElement[bool]
) -> tuple[_Credential, Person] | None:
    """Return the credential that is meant, with its owner; None unless it is alive and they are let in."""
    query = select(kind, Person).join(Person, Person.id == kind.person_id)
    found = session.execute(query.where(*alive, Person.disabled_at.is_(None))).one_or_none()
    return None if found is None else (found[0], found[1])


def _acting(session: Session, person: Person) -> Actor:
    grants = store.grants_of(session, person)
    return Actor(ActorKind.PERSON, person.name, role=person.role_or_none, grants=grants, person_id=person.id)


def _acting_by(session: Session, person: Person, row: Token | RefreshFamily, label: str) -> Actor:
    """Return the actor that a program is with a token of somebody."""
    return replace(
        _acting(session, person),
        kind=ActorKind.TOKEN,
        name=f"{person.name}/{label}",
        scopes=stored_scopes(row.scope),
        host_tags=None if row.host_tags is None else frozenset(row.host_tags),
        credential_id=row.id,
    )
