"""The door: passwords and one-time links turned into sessions, and what keeps guessers out.

Unknown, wrong, locked and disabled are told apart in the history only. The one who knocks gets one
message for all of them, after the same work: anything else would tell which names and passwords exist.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn

from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.agents import plain
from quarterdeck.access.credentials import Credentials
from quarterdeck.access.limits import TryLimit
from quarterdeck.access.models import (
    ADDRESS_LENGTH,
    AGENT_LENGTH,
    EndReason,
    Person,
    SignInLink,
    SignInSession,
)
from quarterdeck.access.names import checked_name, is_name
from quarterdeck.access.passwords import Passwords, checked_password
from quarterdeck.core.actors import NOBODY, SYSTEM, Actor, ActorKind, Role
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Invalid, Limited, NotFound, Unauthenticated
from quarterdeck.core.ids import new_id
from quarterdeck.core.security import new_token, token_digest
from quarterdeck.history.service import History

WRONG: Final = (
    "Name or password is wrong, or the account is locked for a while after too many tries. "
    "If you are sure of both, wait a few minutes or ask an administrator for a sign-in link."
)
LINK_DEAD: Final = "This link was used already or is too old. Ask for a new one."
FREE_FAILURES: Final = 4
LOCK_MINUTES: Final = (1, 2, 4, 8, 15)
LINK_MINUTES: Final = 15
FIRST_LINK_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class Client:
    """The browser at the other end, as it says itself."""

    address: str = ""
    user_agent: str = ""

    @property
    def nobody(self) -> Actor:
        return Actor(NOBODY.kind, NOBODY.name, self.address)


@dataclass(frozen=True, slots=True)
class LinkPurpose:
    """What a link is good for; ``person`` is None when it sets up the first administrator."""

    person: str | None
    needs_password: bool


class SignIn:
    """Opens and closes sessions."""

    def __init__(  # each part is made by Access and used here only
        self,
        db: Database,
        history: History,
        clock: Clock,
        *,
        passwords: Passwords,
        credentials: Credentials,
        forget: Callable[[list[str]], None],
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._passwords = passwords
        self._credentials = credentials
        self._forget = forget
        self._limit = TryLimit(clock)
        self._bearer_limit = TryLimit(clock)

    def by_password(self, name: str, password: str, client: Client) -> str:
        """Return a new session's cookie; raises Unauthenticated or Limited, with the refusal on record."""
        self._count_try(client)
        person = self._person(name)
        stored = person.password_hash if person else None
        matches = self._passwords.matches(stored, password)
        if person is None:
            self._refuse(name, "unknown name", client)
        if reason := self._fault(person.id, matches, client):
            self._refuse(person.name, reason, client)
        self._limit.give_back(client.address)
        cookie = self._open(person, client, by="password", stored=stored)
        if stored and self._passwords.is_outdated(stored):
            self._store_hash(person.id, stored, self._passwords.hash(password))
        return cookie

    def note_bad_bearer(self, bearer: str, address: str) -> None:
        """Put a refused token on record, with the reason that its owner needs; a flood only in part."""
        if self._bearer_limit.take(address):
            return
        now = self._clock.now()
        with self._db.read() as session:
            owner, detail = store.fault_of_token(session, token_digest(bearer), now)
        nobody = Client(address).nobody
        self._history.event(nobody, "token.refused", owner, detail=detail, essential=True)

    def confirm(self, person_id: str, password: str, address: str) -> str:
        """Ask somebody who is signed in for the password again; returns its stored form. Raises Invalid."""
        self._count_try(Client(address))
        with self._db.read() as session:
            stored = session.get_one(Person, person_id).password_hash
        if not self._passwords.matches(stored, password) or stored is None:
            raise Invalid({"old": "This is not your present password."})
        self._limit.give_back(address)
        return stored

    def sign_out(self, actor: Actor) -> None:
        """End the actor's own session; does nothing for others."""
        if actor.kind is not ActorKind.PERSON or actor.credential_id is None:
            return
        with self._history.action(actor, "logout", f"person:{actor.name}", essential=True):
            with self._db.write() as session:
                store.mark_ended(session, [actor.credential_id], EndReason.SIGNED_OUT, self._clock.now())
            self._forget([actor.credential_id])

    def new_link(self, actor: Actor, name: str, *, valid_for: timedelta) -> str:
        """Return the path of a link that signs the person in once; raises Conflict for a disabled one."""
        with self._history.action(actor, "person.link", f"person:{name}") as outcome:
            with self._db.write() as session:
                person = store.person_named(session, name)
                if person.disabled_at is not None:
                    raise Conflict(f"{person.name} is disabled; enable the person first.")
                token, expires_at = self._add_link(session, person.id, valid_for)
            outcome["expires"] = expires_at.isoformat()
        return link_path(token)

    def first_link(self) -> str | None:
        """Return the path of a new link for the first administrator, or None when there is one."""
        with self._db.read() as session:
            if store.other_administrators(session, None):
                return None
        with self._history.action(SYSTEM, "person.first_link"), self._db.write() as session:
            token, _ = self._add_link(session, None, timedelta(hours=FIRST_LINK_HOURS))
        return link_path(token)

    def purpose_of(self, token: str) -> LinkPurpose:
        """Look at a link without using it; raises NotFound when it is dead."""
        with self._db.read() as session:
            link = self._live_link(session, token)
            if link.person_id is None:
                return LinkPurpose(None, needs_password=True)
            person = session.get_one(Person, link.person_id)
            return LinkPurpose(person.name, needs_password=person.password_hash is None)

    def by_link(self, token: str, client: Client, *, password: str = "") -> str:
        """Use a link up and return a session's cookie; a password, when given, becomes the person's.

        Raises Invalid for a missing or bad password, with the link still good, and NotFound when it is dead.
        """
        purpose = self.purpose_of(token)
        if purpose.person is None:
            raise NotFound(LINK_DEAD)
        hashed = None
        if password or purpose.needs_password:
            hashed = self._passwords.hash(checked_password(password, purpose.person))
        detail = {"sets_password": hashed is not None}
        with self._history.action(
            client.nobody, "person.link_use", f"person:{purpose.person}", detail=detail
        ):
            person, ended = self._use_for_person(token, hashed)
        self._forget(ended)
        return self._open(person, client, by="link", stored=person.password_hash)

    def set_up(self, token: str, name: str, password: str, client: Client) -> str:
        """Make the first administrator by the first link, once and for ever; returns a session's cookie."""
        purpose = self.purpose_of(token)
        if purpose.person is not None:
            raise NotFound(LINK_DEAD)
        name = checked_name(name)
        hashed = self._passwords.hash(checked_password(password, name))
        detail = {"role": Role.ADMINISTRATOR.value, "by": "first link"}
        with self._history.action(client.nobody, "person.add", f"person:{name}", detail=detail):
            person = self._add_first(token, name, hashed)
        return self._open(person, client, by="first link", stored=hashed)

    def _add_first(self, token: str, name: str, hashed: str) -> Person:
        now = self._clock.now()
        with self._db.write() as session:
            link = self._live_link(session, token)
            if not store.use_link(session, link, now):
                raise NotFound(LINK_DEAD)
            if store.find_person(session, name):
                raise Conflict("There is a person of this name already; choose another name.")
            person = new_person(name, Role.ADMINISTRATOR, hashed, now)
            session.add(person)
        return person

    def _use_for_person(self, token: str, hashed: str | None) -> tuple[Person, list[str]]:
        now = self._clock.now()
        with self._db.write() as session:
            link = self._live_link(session, token)
            person = session.get_one(Person, link.person_id)
            if person.disabled_at is not None or not store.use_link(session, link, now):
                raise NotFound(LINK_DEAD)
            ended: list[str] = []
            if hashed:
                ended = store.end_sessions(session, person.id, EndReason.PASSWORD, now)
                ended += store.revoke_tokens(session, person.id, EndReason.PASSWORD, now)
                person.password_hash = hashed
            unlock(person)
        return person, ended

    def _live_link(self, session: Session, token: str) -> SignInLink:
        """Return the link if it still works; the first link is closed for ever by the first administrator."""
        link = store.usable_link(session, token_digest(token), self._clock.now())
        if link is None or (link.person_id is None and store.other_administrators(session, None)):
            raise NotFound(LINK_DEAD)
        return link

    def _add_link(
        self, session: Session, person_id: str | None, valid_for: timedelta
    ) -> tuple[str, datetime]:
        token, now = new_token(), self._clock.now()
        store.drop_links(session, person_id, now)
        link = SignInLink(
            id=new_id(), digest=token_digest(token), person_id=person_id, expires_at=now + valid_for
        )
        session.add(link)
        return token, link.expires_at

    def _person(self, name: str) -> Person | None:
        with self._db.read() as session:
            return store.find_person(session, name) if is_name(name) else None

    def _count_try(self, client: Client) -> None:
        refusal = self._limit.take(client.address)
        if refusal is None:
            return
        if refusal.is_first:  # a record of each would let a guesser fill the disk
            detail = {"reason": refusal.reason}
            self._history.event(client.nobody, "login.limited", "", detail=detail, essential=True)
        raise Limited(
            f"Too many tries; wait {refusal.retry_after} s and try again.", retry_after=refusal.retry_after
        )

    def _fault(self, person_id: str, matches: bool, client: Client) -> str | None:
        """Judge a try under a lock, so that tries at the same moment can't slip past the lock-out."""
        now = self._clock.now()
        with self._db.write() as session:
            person = session.get_one(Person, person_id, with_for_update=True)
            if person.is_locked(now):
                return "locked"
            if person.disabled_at is not None:
                return "disabled"
            if matches:
                unlock(person)
                return None
            person.failed_count += 1
            if person.failed_count > FREE_FAILURES:
                person.locked_until = now + lock_time(person.failed_count)
        if person.locked_until is not None and person.is_locked(now):
            self._record_lock(person, person.locked_until, client)
        return "wrong password"

    def _record_lock(self, person: Person, until: datetime, client: Client) -> None:
        object_ = f"person:{person.name}"
        detail = {"until": until.isoformat(), "failures": person.failed_count}
        self._history.event(client.nobody, "person.lock", object_, detail=detail, essential=True)

    def _refuse(self, name: str, reason: str, client: Client) -> NoReturn:
        # People type passwords into the wrong field: only what looks like a name is kept.
        shown = name if is_name(name) else "(not a name)"
        detail = {"reason": reason, "agent": plain(client.user_agent, AGENT_LENGTH)}
        self._history.event(client.nobody, "login.refused", f"person:{shown}", detail=detail, essential=True)
        raise Unauthenticated(WRONG)

    def _open(self, person: Person, client: Client, *, by: str, stored: str | None) -> str:
        """Start a session, unless the password was changed since it was looked at."""
        cookie, now = new_token(), self._clock.now()
        row = self._new_session(person.id, cookie, client, now)
        role = person.role_or_none
        actor = Actor(ActorKind.PERSON, person.name, client.address, role, None, person.id, row.id)
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

    def _new_session(self, person_id: str, cookie: str, client: Client, now: datetime) -> SignInSession:
        return SignInSession(
            id=new_id(),
            digest=token_digest(cookie),
            person_id=person_id,
            created_at=now,
            last_seen_at=now,
            address=client.address[:ADDRESS_LENGTH],
            user_agent=plain(client.user_agent, AGENT_LENGTH),
            expires_at=self._credentials.expiry_of_session(now, now),
        )

    def _store_hash(self, person_id: str, old: str, new: str) -> None:
        """Keep the password at today's cost; the same password, so nothing ends."""
        with self._db.write() as session:
            person = session.get_one(Person, person_id, with_for_update=True)
            if person.password_hash == old:
                person.password_hash = new


def new_person(name: str, role: Role | None, hashed: str | None, now: datetime) -> Person:
    return Person(
        id=new_id(),
        name=name,
        name_key=name.casefold(),
        role=role.value if role else None,
        password_hash=hashed,
        created_at=now,
    )


def unlock(person: Person) -> None:
    person.failed_count, person.locked_until = 0, None


def lock_time(failures: int) -> timedelta:
    """Return how long the next lock lasts: longer each time, never for ever."""
    step = min(failures - FREE_FAILURES, len(LOCK_MINUTES)) - 1
    return timedelta(minutes=LOCK_MINUTES[step])


def link_path(token: str) -> str:
    return f"/sign-in/link/{token}"
