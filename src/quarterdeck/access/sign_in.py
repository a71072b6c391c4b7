"""The door: passwords turned into sessions, and what keeps guessers out.

Unknown, wrong, locked and disabled are told apart in the history only. The one who knocks gets one
message for all of them, after the same work: anything else would tell which names and passwords exist.
"""

from datetime import datetime, timedelta
from typing import Final, NoReturn

from quarterdeck.access import store
from quarterdeck.access.agents import Client, plain
from quarterdeck.access.models import AGENT_LENGTH, Person
from quarterdeck.access.names import is_name
from quarterdeck.access.passwords import WRONG, Passwords
from quarterdeck.access.sessions import Sessions
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Forbidden, Invalid, Limited, Unauthenticated
from quarterdeck.core.limits import TryLimit
from quarterdeck.core.security import token_digest
from quarterdeck.history.service import History

LOCAL_OFF: Final = "Passwords are not used here. Sign in with one of the providers, or by a one-time link."
FREE_FAILURES: Final = 4
LOCK_MINUTES: Final = (1, 2, 4, 8, 15)


class SignIn:
    """Proves who somebody is by a password, and begins their session."""

    def __init__(  # each part is made by Access and used here only
        self,
        db: Database,
        history: History,
        clock: Clock,
        *,
        passwords: Passwords,
        sessions: Sessions,
        has_local_sign_in: bool = True,
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._passwords = passwords
        self._sessions = sessions
        self._has_local = has_local_sign_in
        self._limit = TryLimit(clock)
        self._bearer_limit = TryLimit(clock)

    def by_password(self, name: str, password: str, client: Client) -> str:
        """Return a new session's cookie; raises Unauthenticated or Limited, with the refusal on record.

        Raises Forbidden where passwords are turned off.
        """
        person = self.prove(name, password, client)
        return self._sessions.open(person, client, by="password", stored=person.password_hash)

    def prove(self, name: str, password: str, client: Client) -> Person:
        """Return the person whose password this is; raises as ``by_password``."""
        self._count_try(client)
        if not self._has_local:
            self._record_refusal(name, "sign-in by password is off", client)
            raise Forbidden(LOCAL_OFF)
        person = self._person(name)
        stored = person.password_hash if person else None
        matches = self._passwords.matches(stored, password)
        if person is None:
            self._refuse(name, "unknown name", client)
        if reason := self._fault(person.id, matches, client):
            self._refuse(person.name, reason, client)
        self._limit.give_back(client.address)
        if stored and self._passwords.is_outdated(stored):
            person.password_hash = self._passwords.hash(password)
            self._store_hash(person.id, stored, person.password_hash)
        return person

    def note_bad_bearer(self, bearer: str, address: str) -> None:
        """Put a refused token on record, with the reason that its owner needs; a flood only in part."""
        if self._bearer_limit.take(address):
            return
        now = self._clock.now()
        with self._db.read() as session:
            owner, detail = store.fault_of_token(session, token_digest(bearer), now)
        nobody = Client(address).nobody
        self._history.event(nobody, "token.refused", owner, detail=detail, essential=True)

    def guessers_known(self) -> int:
        """Return how many addresses are remembered because of what they tried."""
        return len(self._limit) + len(self._bearer_limit)

    def confirm(self, person_id: str, password: str, address: str) -> str:
        """Ask somebody who is signed in for the password again; returns its stored form. Raises Invalid."""
        self._count_try(Client(address))
        with self._db.read() as session:
            stored = session.get_one(Person, person_id).password_hash
        if not self._passwords.matches(stored, password) or stored is None:
            raise Invalid({"old": "This is not your present password."})
        self._limit.give_back(address)
        return stored

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
        raise Limited("Too many tries.", retry_after=refusal.retry_after)

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
                store.unlock(person)
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
        self._record_refusal(name, reason, client)
        raise Unauthenticated(WRONG)

    def _record_refusal(self, name: str, reason: str, client: Client) -> None:
        # People type passwords into the wrong field: only what looks like a name is kept.
        shown = name if is_name(name) else "(not a name)"
        detail = {"reason": reason, "agent": plain(client.user_agent, AGENT_LENGTH)}
        self._history.event(client.nobody, "login.refused", f"person:{shown}", detail=detail, essential=True)

    def _store_hash(self, person_id: str, old: str, new: str) -> None:
        """Keep the password at today's cost; the same password, so nothing ends."""
        with self._db.write() as session:
            person = session.get_one(Person, person_id, with_for_update=True)
            if person.password_hash == old:
                person.password_hash = new


def lock_time(failures: int) -> timedelta:
    """Return how long the next lock lasts: longer each time, never for ever."""
    step = min(failures - FREE_FAILURES, len(LOCK_MINUTES)) - 1
    return timedelta(minutes=LOCK_MINUTES[step])
