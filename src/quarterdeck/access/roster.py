"""The people of this node: who is added, gets which role and password, and is kept out."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.models import EndReason, Person, PersonRecord
from quarterdeck.access.names import checked_name
from quarterdeck.access.passwords import Passwords, checked_password
from quarterdeck.access.rights import must_include
from quarterdeck.access.sign_in import SignIn
from quarterdeck.core.actors import Actor, Role
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.history.service import History

LAST_ADMINISTRATOR: Final = (
    "This is the last administrator; give the role to somebody else first, or nobody could."
)


class Roster:
    """Lists and changes people."""

    def __init__(
        self,
        db: Database,
        history: History,
        clock: Clock,
        *,
        passwords: Passwords,
        door: SignIn,
        forget: Callable[[list[str]], None],
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._passwords = passwords
        self._door = door
        self._forget = forget

    def select(self, q: str = "") -> list[PersonRecord]:
        """Return people by name, those whose name contains the text."""
        query = select(Person).order_by(Person.name_key)
        if q:
            query = query.where(Person.name_key.contains(q.casefold(), autoescape=True))
        with self._db.read() as session:
            connected = store.connected(session)
            return [person.record(is_connected=person.id in connected) for person in session.scalars(query)]

    def get(self, name: str) -> PersonRecord:
        """Return one person; raises NotFound."""
        with self._db.read() as session:
            return _record(session, store.person_named(session, name))

    def of_actor(self, actor: Actor) -> PersonRecord:
        """Return the person behind an actor; raises NotFound for those who are no people."""
        with self._db.read() as session:
            person = session.get(Person, actor.person_id) if actor.person_id else None
            if person is None:
                raise NotFound(f"{actor.label} is not a person and has no account.")
            return _record(session, person)

    def add(
        self,
        actor: Actor,
        name: str,
        *,
        role: Role | None = None,
        password: str | None = None,
        is_service: bool = False,
    ) -> PersonRecord:
        """Add somebody; without a password they sign in by a link first. Raises Invalid, Conflict.

        A service account owns tokens and never signs in.
        """
        name = checked_name(name)
        if is_service and password is not None:
            raise Invalid({"password": "A service account has no password; make it a token."})
        must_include(actor, role)
        hashed = self._passwords.hash(checked_password(password, name)) if password is not None else None
        detail = {"role": role.value if role else None, "has_password": password is not None}
        if is_service:
            detail["is_service"] = True
        with (
            self._history.action(actor, "person.add", f"person:{name}", detail=detail) as outcome,
            self._db.write() as session,
        ):
            if store.find_person(session, name):
                raise Conflict(f"There is a person named {name} already.")
            outcome["after"] = {"role": detail["role"]}
            person = store.new_person(name, role, hashed, self._clock.now())
            person.is_service = is_service
            session.add(person)
        return person.record()

    def set_role(self, actor: Actor, name: str, role: Role | None) -> PersonRecord:
        """Change a role; sessions end and tokens are revoked, since they were given for the old one."""
        detail = {"role": role.value if role else None}
        with self._history.action(
            actor, "person.role", store.object_named(self._db, name), detail=detail
        ) as outcome:
            with self._db.write() as session:
                person = self.editable(session, actor, name)
                must_include(actor, role)
                outcome["before"], outcome["after"] = {"role": person.role}, detail
                if person.role_or_none is role:
                    return _record(session, person)
                if role is not Role.ADMINISTRATOR:
                    _keep_an_administrator(session, person)
                person.role = role.value if role else None
                ended = self._end_all(session, person, EndReason.ROLE)
                changed = _record(session, person)
            outcome["ended"] = len(ended)
            self._forget(ended)
            return changed

    def disable(self, actor: Actor, name: str) -> PersonRecord:
        """Keep a person out; sessions and tokens end at once."""
        with self._history.action(actor, "person.disable", store.object_named(self._db, name)) as outcome:
            with self._db.write() as session:
                person = self.editable(session, actor, name)
                _keep_an_administrator(session, person)
                outcome["before"] = {"state": _record(session, person).state(self._clock.now())}
                outcome["after"] = {"state": "disabled"}
                person.disabled_at = person.disabled_at or self._clock.now()
                ended = self._end_all(session, person, EndReason.DISABLED)
                store.drop_links(session, person.id, self._clock.now())
                changed = _record(session, person)
            outcome["ended"] = len(ended)
            self._forget(ended)
            return changed

    def enable(self, actor: Actor, name: str) -> PersonRecord:
        """Let a person in again, with an end to any lock-out."""
        with (
            self._history.action(actor, "person.enable", store.object_named(self._db, name)) as outcome,
            self._db.write() as session,
        ):
            person = self.editable(session, actor, name)
            outcome["before"] = {"state": _record(session, person).state(self._clock.now())}
            person.disabled_at = None
            store.unlock(person)
            changed = _record(session, person)
            outcome["after"] = {"state": changed.state(self._clock.now())}
        self._forget([])
        return changed

    def set_password(self, actor: Actor, name: str, password: str) -> None:
        """Set somebody's password; their sessions end and tokens are revoked."""
        hashed = self._passwords.hash(checked_password(password, name))
        with self._history.action(actor, "person.password", store.object_named(self._db, name)) as outcome:
            with self._db.write() as session:
                person = self.editable(session, actor, name)
                outcome["before"] = {"has_password": person.password_hash is not None}
                ended = self._replace_password(session, person, hashed)
            outcome |= {"after": {"has_password": True}, "ended": len(ended)}
            self._forget(ended)

    def take_password(self, actor: Actor, name: str) -> None:
        """Take somebody's password away; raises Conflict for the actor's own."""
        if actor.person_id and actor.person_id == self.get(name).id:
            raise Conflict("Change your own password on the account page.")
        with self._history.action(
            actor, "person.password_reset", store.object_named(self._db, name)
        ) as outcome:
            with self._db.write() as session:
                person = self.editable(session, actor, name)
                outcome["before"] = {"has_password": person.password_hash is not None}
                ended = self._replace_password(session, person, None)
            outcome |= {"after": {"has_password": False}, "ended": len(ended)}
            self._forget(ended)

    def change_own_password(self, actor: Actor, old: str, new: str) -> None:
        """Change the actor's password; every other session and all tokens end. Raises Invalid."""
        person = self.of_actor(actor)
        with self._history.action(actor, "person.password", person.object) as outcome:
            confirmed = self._door.confirm(person.id, old, actor.address)
            hashed = self._passwords.hash(checked_password(new, person.name))
            with self._db.write() as session:
                current = session.get_one(Person, person.id, with_for_update=True)
                if current.password_hash != confirmed:
                    raise Conflict("The password was changed a moment ago; try again.")
                ended = self._replace_password(session, current, hashed, keep=actor.credential_id)
            outcome["ended"] = len(ended)
            self._forget(ended)

    def editable(self, session: Session, actor: Actor, name: str) -> Person:
        """Return somebody whom the actor may change, locked; raises NotFound, Forbidden."""
        person = store.person_named(session, name)
        must_include(actor, person.role_or_none)
        return person

    def _replace_password(
        self, session: Session, person: Person, hashed: str | None, *, keep: str | None = None
    ) -> list[str]:
        if person.is_service:
            raise Conflict(f"{person.name} is a service account; it has tokens and no password.")
        person.password_hash = hashed
        store.unlock(person)
        return self._end_all(session, person, EndReason.PASSWORD, keep=keep)

    def _end_all(
        self, session: Session, person: Person, reason: EndReason, *, keep: str | None = None
    ) -> list[str]:
        return store.end_credentials(session, person, reason, self._clock.now(), keep=keep)


def _record(session: Session, person: Person) -> PersonRecord:
    return person.record(is_connected=bool(store.connected(session, person.id)))


def _keep_an_administrator(session: Session, person: Person) -> None:
    is_one = person.role == Role.ADMINISTRATOR and person.disabled_at is None
    if is_one and not store.other_administrators(session, person.id):
        raise Conflict(LAST_ADMINISTRATOR)
