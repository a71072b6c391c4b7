"""Sessions of people who signed in: opened for whoever has proved who they are, listed, and ended."""

from collections.abc import Callable
from datetime import datetime

from quarterdeck.access import store
from quarterdeck.access.agents import Client, plain
from quarterdeck.access.lifetimes import Lifetimes
from quarterdeck.access.models import (
    ADDRESS_LENGTH,
    AGENT_LENGTH,
    EndReason,
    Person,
    SessionRecord,
    SignInSession,
)
from quarterdeck.access.passwords import WRONG
from quarterdeck.access.rights import may_touch
from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import NotFound, Unauthenticated
from quarterdeck.core.ids import new_id
from quarterdeck.core.security import new_token, token_digest
from quarterdeck.history.service import History


class Sessions:
    """Opens and ends sessions."""

    def __init__(
        self,
        db: Database,
        history: History,
        clock: Clock,
        *,
        lifetimes: Lifetimes,
        forget: Callable[[list[str]], None],
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._lifetimes = lifetimes
        self._forget = forget

    def open(
        self,
        person: Person,
        client: Client,
        *,
        by: str,
        stored: str | None,
        provider: str = "",
        sealed_id_token: str = "",
    ) -> str:
        """Start a session, unless the password was changed since it was looked at."""
        cookie, now = new_token(), self._clock.now()
        row = self._new_row(person.id, cookie, client, now)
        row.provider, row.sealed_id_token = provider, sealed_id_token
        actor = Actor(
            ActorKind.PERSON,
            person.name,
            client.address,
            role=person.role_or_none,
            person_id=person.id,
            credential_id=row.id,
        )
        detail = {"by": by, "agent": row.user_agent}
        with (
            self._history.action(actor, "login", f"person:{person.name}", detail=detail, essential=True),
            self._db.write() as session,
        ):
            current = session.get_one(Person, person.id, with_for_update=True)
            if current.password_hash != stored or current.disabled_at is not None:
                raise Unauthenticated(WRONG)
            current.last_sign_in_at, current.last_sign_in_address = now, row.address
            session.add(row)
            session.flush()
            crowded_out = store.crowd_out(session, person.id, now)
        self._forget(crowded_out)
        return cookie

    def sign_out(self, actor: Actor) -> None:
        """End the actor's own session; does nothing for others."""
        if actor.kind is not ActorKind.PERSON or actor.credential_id is None:
            return
        with self._history.action(actor, "logout", f"person:{actor.name}", essential=True):
            with self._db.write() as session:
                store.mark_ended(session, [actor.credential_id], EndReason.SIGNED_OUT, self._clock.now())
            self._forget([actor.credential_id])

    def of_person(self, person_id: str) -> list[SessionRecord]:
        """Return a person's sessions that still count, last used first."""
        with self._db.read() as session:
            return [row.record() for row in store.live_sessions(session, person_id, self._clock.now())]

    def provider_of(self, actor: Actor) -> tuple[str, str]:
        """Return the identity provider of the actor's session and the sealed id token; empty where none."""
        with self._db.read() as session:
            row = session.get(SignInSession, actor.credential_id) if actor.credential_id else None
            return (row.provider, row.sealed_id_token) if row else ("", "")

    def end(self, actor: Actor, session_id: str) -> None:
        """End one session, the actor's own or, for an administrator, anyone's; raises NotFound."""
        with self._db.read() as session:
            row = session.get(SignInSession, session_id)
            owner = session.get(Person, row.person_id) if row and row.ended_at is None else None
        if row is None or owner is None or not may_touch(actor, owner):
            raise NotFound("There is no such session, or it has ended already.")
        detail = {"session": session_id, "from": row.address, "began": row.created_at.isoformat()}
        with self._history.action(actor, "session.end", f"person:{owner.name}", detail=detail):
            with self._db.write() as session:
                store.mark_ended(session, [session_id], EndReason.ENDED, self._clock.now())
            self._forget([session_id])

    def end_all(self, actor: Actor, name: str, *, keep: str | None = None) -> int:
        """End a person's sessions but one; returns how many there were."""
        with self._db.read() as session:
            owner = store.find_person(session, name)
        if owner is None or not may_touch(actor, owner):
            raise NotFound("There is no person of this name.")
        with self._history.action(actor, "session.end_all", f"person:{owner.name}") as outcome:
            with self._db.write() as session:
                now = self._clock.now()
                ended = store.end_sessions(session, owner.id, EndReason.ENDED, now, keep=keep)
                ended += store.end_families(session, owner.id, EndReason.ENDED, now)
            outcome["ended"] = len(ended)
            self._forget(ended)
        return len(ended)

    def _new_row(self, person_id: str, cookie: str, client: Client, now: datetime) -> SignInSession:
        return SignInSession(
            id=new_id(),
            digest=token_digest(cookie),
            person_id=person_id,
            created_at=now,
            last_seen_at=now,
            address=client.address[:ADDRESS_LENGTH],
            user_agent=plain(client.user_agent, AGENT_LENGTH),
            expires_at=self._lifetimes.session_end(now, now),
        )
