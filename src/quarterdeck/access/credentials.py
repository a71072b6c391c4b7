"""From the secret that a request shows to the actor behind it: cheap, exact, and soon forgotten."""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Update, select, update
from sqlalchemy.exc import SQLAlchemyError

from quarterdeck.access.models import ADDRESS_LENGTH, Person, SignInSession, Token
from quarterdeck.core.actors import Actor, ActorKind, Role, Scope
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.security import token_digest

logger = logging.getLogger(__name__)

REMEMBERED_SECONDS: Final = 1.0
"""How late a change by another process, such as the command line, is noticed at most."""
REMEMBERED: Final = 1024
USE_NOTED_EVERY: Final = timedelta(minutes=1)
SESSION_LIFETIME: Final = timedelta(days=30)
"""The end of a session however busy it is."""


@dataclass(frozen=True, slots=True)
class _Known:
    actor: Actor
    expires_at: datetime | None
    until: float


class Credentials:
    """Looks sessions and tokens up; what it found counts for a second, expiry is looked at every time."""

    def __init__(self, db: Database, clock: Clock, *, idle: timedelta) -> None:
        self._db = db
        self._clock = clock
        self._idle = idle
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._generation = 0

    def by_cookie(self, cookie: str, address: str) -> Actor | None:
        """Return the person behind a session's cookie, or None when it is dead or was never made."""
        return self._actor(f"cookie {token_digest(cookie)}", address)

    def by_token(self, bearer: str, address: str) -> Actor | None:
        """Return the actor behind a token, or None when it is dead or was never made."""
        return self._actor(f"token {token_digest(bearer)}", address)

    def forget(self) -> None:
        """Look everything up anew: called after each change of a person, session or token."""
        with self._lock:
            self._generation += 1
            self._known.clear()

    def expiry_of_session(self, created_at: datetime, used_at: datetime) -> datetime:
        """Return when a session that was last used then is over."""
        return min(used_at + self._idle, created_at + SESSION_LIFETIME)

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
        return self._session(digest, address) if kind == "cookie" else self._token(digest, address)

    def _session(self, digest: str, address: str) -> _Known | None:
        query = (
            select(SignInSession, Person.name, Person.role)
            .join(Person, Person.id == SignInSession.person_id)
            .where(
                SignInSession.digest == digest, SignInSession.ended_at.is_(None), Person.disabled_at.is_(None)
            )
        )
        with self._db.read() as session:
            found = session.execute(query).one_or_none()
        if found is None:
            return None
        row, name, role = found
        expires_at = self._note_session_use(row, address)
        actor = Actor(
            ActorKind.PERSON,
            name,
            role=Role(role) if role else None,
            person_id=row.person_id,
            credential_id=row.id,
        )
        return _Known(actor, expires_at, self._clock.monotonic() + REMEMBERED_SECONDS)

    def _token(self, digest: str, address: str) -> _Known | None:
        query = (
            select(Token, Person.name, Person.role)
            .join(Person, Person.id == Token.person_id)
            .where(Token.digest == digest, Token.revoked_at.is_(None), Person.disabled_at.is_(None))
        )
        with self._db.read() as session:
            found = session.execute(query).one_or_none()
        if found is None:
            return None
        row, name, role = found
        self._note_token_use(row, address)
        actor = Actor(
            ActorKind.TOKEN,
            f"{name}/{row.label}",
            role=Role(role) if role else None,
            scope=Scope(row.scope),
            person_id=row.person_id,
            credential_id=row.id,
        )
        return _Known(actor, row.expires_at, self._clock.monotonic() + REMEMBERED_SECONDS)

    def _note_session_use(self, row: SignInSession, address: str) -> datetime:
        """Push the end of a session in use back, once a minute at most; returns the end that counts."""
        now = self._clock.now()
        if now >= row.expires_at or now - row.last_seen_at < USE_NOTED_EVERY:
            return row.expires_at
        expires_at = self.expiry_of_session(row.created_at, now)
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

    def _note(self, change: Update) -> bool:
        """Write when a credential was used; a full disk must not keep people out for that."""
        try:
            with self._db.write() as session:
                session.execute(change)
        except SQLAlchemyError:
            logger.warning("The last use of a session or token can't be written.", exc_info=True)
            return False
        return True
