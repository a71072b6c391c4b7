"""The verbs of access: who is added, signs in, acts, and is kept out."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.cli_token import cli_actor, is_loopback, read_cli_token
from quarterdeck.access.credentials import Credentials
from quarterdeck.access.models import (
    EndReason,
    Person,
    PersonRecord,
    SessionRecord,
    SignInSession,
    TokenRecord,
)
from quarterdeck.access.names import checked_name
from quarterdeck.access.passwords import HashCost, Passwords, checked_password
from quarterdeck.access.rights import may_touch, must_include
from quarterdeck.access.sign_in import LINK_MINUTES, Client, LinkPurpose, SignIn, new_person, unlock
from quarterdeck.access.tokens import NewToken, Tokens
from quarterdeck.core.actors import Actor, Role, Scope
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.core.security import same, token_digest
from quarterdeck.history.service import History

LAST_ADMINISTRATOR: Final = (
    "This is the last administrator; give the role to somebody else first, or nobody could."
)
RESET_LINK_HOURS: Final = 24
_OVERLAP: Final = timedelta(seconds=10)


class Access:
    """People, sessions and tokens; safe to use from many threads and beside other processes."""

    def __init__(  # what a factory has, nothing made here lives elsewhere
        self,
        db: Database,
        history: History,
        clock: Clock,
        settings: Settings,
        on_sessions_ended: Callable[[list[str]], None],
        *,
        hash_cost: HashCost | None = None,
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._on_sessions_ended = on_sessions_ended
        self._passwords = Passwords(hash_cost)
        self._credentials = Credentials(db, clock, idle=timedelta(hours=settings.session_hours))
        self._door = SignIn(
            db, history, clock, passwords=self._passwords, credentials=self._credentials, forget=self._forget
        )
        self._tokens = Tokens(db, history, clock, forget=self._forget)
        self._cli_digest = token_digest(read_cli_token(settings.home))
        self._reported_at = clock.now()

    # -- people

    def list_people(self, q: str = "") -> list[PersonRecord]:
        """Return people by name, those whose name contains the text."""
        query = select(Person).order_by(Person.name_key)
        if q:
            query = query.where(Person.name_key.contains(q.casefold(), autoescape=True))
        with self._db.read() as session:
            return [person.record() for person in session.scalars(query)]

    def person(self, name: str) -> PersonRecord:
        """Return one person; raises NotFound."""
        with self._db.read() as session:
            return store.person_named(session, name).record()

    def own_record(self, actor: Actor) -> PersonRecord:
        """Return the person behind an actor; raises NotFound for those who are no people."""
        with self._db.read() as session:
            person = session.get(Person, actor.person_id) if actor.person_id else None
        if person is None:
            raise NotFound(f"{actor.label} is not a person and has no account.")
        return person.record()

    def add_person(
        self, actor: Actor, name: str, *, role: Role | None = None, password: str | None = None
    ) -> PersonRecord:
        """Add somebody; without a password they sign in by a link first. Raises Invalid, Conflict."""
        name = checked_name(name)
        must_include(actor, role)
        hashed = self._passwords.hash(checked_password(password, name)) if password is not None else None
        detail = {"role": role.value if role else None, "has_password": password is not None}
        with (
            self._history.action(actor, "person.add", f"person:{name}", detail=detail),
            self._db.write() as session,
        ):
            if store.find_person(session, name):
                raise Conflict(f"There is a person named {name} already.")
            person = new_person(name, role, hashed, self._clock.now())
            session.add(person)
        return person.record()

    def set_role(self, actor: Actor, name: str, role: Role | None) -> PersonRecord:
        """Change a role; sessions end and tokens are revoked, since they were given for the old one."""
        detail = {"role": role.value if role else None}
        with self._history.action(actor, "person.role", f"person:{name}", detail=detail) as outcome:
            with self._db.write() as session:
                person = self._editable(session, actor, name)
                must_include(actor, role)
                outcome["was"] = person.role
                if person.role_or_none is role:
                    return person.record()
                if role is not Role.ADMINISTRATOR:
                    _keep_an_administrator(session, person)
                person.role = role.value if role else None
                ended = self._end_all(session, person, EndReason.ROLE)
            self._forget(ended)
            return person.record()

    def disable(self, actor: Actor, name: str) -> PersonRecord:
        """Keep a person out; sessions and tokens end at once."""
        with self._history.action(actor, "person.disable", f"person:{name}"):
            with self._db.write() as session:
                person = self._editable(session, actor, name)
                _keep_an_administrator(session, person)
                person.disabled_at = person.disabled_at or self._clock.now()
                ended = self._end_all(session, person, EndReason.DISABLED)
                store.drop_links(session, person.id, self._clock.now())
            self._forget(ended)
            return person.record()

    def enable(self, actor: Actor, name: str) -> PersonRecord:
        """Let a person in again, with an end to any lock-out."""
        with (
            self._history.action(actor, "person.enable", f"person:{name}"),
            self._db.write() as session,
        ):
            person = self._editable(session, actor, name)
            person.disabled_at = None
            unlock(person)
        self._forget([])
        return person.record()

    # -- passwords

    def set_password(self, actor: Actor, name: str, password: str) -> None:
        """Set somebody's password; their sessions end and tokens are revoked."""
        hashed = self._passwords.hash(checked_password(password, name))
        with self._history.action(actor, "person.password", f"person:{name}"):
            with self._db.write() as session:
                person = self._editable(session, actor, name)
                ended = self._replace_password(session, person, hashed)
            self._forget(ended)

    def reset_password(self, actor: Actor, name: str) -> str:
        """Take somebody's password away; returns the path of a link by which they choose a new one."""
        if actor.person_id and actor.person_id == self.person(name).id:
            raise Conflict("Change your own password on the account page.")
        with self._history.action(actor, "person.password_reset", f"person:{name}"):
            with self._db.write() as session:
                ended = self._replace_password(session, self._editable(session, actor, name), None)
            self._forget(ended)
        return self._door.new_link(actor, name, valid_for=timedelta(hours=RESET_LINK_HOURS))

    def change_own_password(self, actor: Actor, old: str, new: str) -> None:
        """Change the actor's password; every other session and all tokens end. Raises Invalid."""
        person = self.own_record(actor)
        with self._history.action(actor, "person.password", person.object):
            confirmed = self._door.confirm(person.id, old, actor.address)
            hashed = self._passwords.hash(checked_password(new, person.name))
            with self._db.write() as session:
                current = session.get_one(Person, person.id, with_for_update=True)
                if current.password_hash != confirmed:
                    raise Conflict("The password was changed a moment ago; try again.")
                ended = self._replace_password(session, current, hashed, keep=actor.credential_id)
            self._forget(ended)

    # -- sessions

    def sign_in(self, name: str, password: str, *, address: str = "", user_agent: str = "") -> str:
        """Return a new session's cookie; raises Unauthenticated or Limited."""
        return self._door.by_password(name, password, Client(address, user_agent))

    def sign_in_by_link(
        self, token: str, *, password: str = "", address: str = "", user_agent: str = ""
    ) -> str:
        """Use a person's link up; returns a session's cookie."""
        return self._door.by_link(token, Client(address, user_agent), password=password)

    def set_up(self, token: str, name: str, password: str, *, address: str = "", user_agent: str = "") -> str:
        """Make the first administrator by the first link; returns a session's cookie."""
        return self._door.set_up(token, name, password, Client(address, user_agent))

    def link_purpose(self, token: str) -> LinkPurpose:
        """Look at a link without using it up; raises NotFound."""
        return self._door.purpose_of(token)

    def new_sign_in_link(self, actor: Actor, name: str, *, minutes: int = LINK_MINUTES) -> str:
        """Return the path of a link that signs the person in once."""
        with self._db.read() as session:
            self._editable(session, actor, name)
        return self._door.new_link(actor, name, valid_for=timedelta(minutes=minutes))

    def first_sign_in_link(self) -> str | None:
        """Return the path of a new link for the first administrator, or None when there is one."""
        return self._door.first_link()

    def sign_out(self, actor: Actor) -> None:
        self._door.sign_out(actor)

    def sessions_of(self, person_id: str) -> list[SessionRecord]:
        """Return a person's sessions that still count, last used first."""
        with self._db.read() as session:
            return [row.record() for row in store.live_sessions(session, person_id, self._clock.now())]

    def end_session(self, actor: Actor, session_id: str) -> None:
        """End one session, the actor's own or, for an administrator, anyone's; raises NotFound."""
        with self._db.read() as session:
            row = session.get(SignInSession, session_id)
            owner = session.get(Person, row.person_id) if row and row.ended_at is None else None
        if owner is None or not may_touch(actor, owner):
            raise NotFound("There is no such session, or it has ended already.")
        with self._history.action(
            actor, "session.end", f"person:{owner.name}", detail={"session": session_id}
        ):
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
                ended = store.end_sessions(session, owner.id, EndReason.ENDED, self._clock.now(), keep=keep)
            outcome["ended"] = len(ended)
            self._forget(ended)
        return len(ended)

    # -- tokens

    def create_token(
        self, actor: Actor, name: str, label: str, scope: Scope, *, expires_days: int | None = None
    ) -> NewToken:
        """Make a token that acts for a person, the actor or, for an administrator, anyone."""
        return self._tokens.create(actor, name, label, scope, expires_days=expires_days)

    def revoke_token(self, actor: Actor, token_id: str) -> None:
        """End a token; raises NotFound for a foreign one."""
        self._tokens.revoke(actor, token_id)

    def tokens_of(self, person_id: str | None = None) -> list[TokenRecord]:
        """Return the tokens of one person or of all that still count or expired lately, newest first."""
        return self._tokens.list_tokens(person_id)

    # -- who acts

    def actor_for_session(self, cookie: str, address: str) -> Actor | None:
        """Return the person behind a cookie, or None; looks in the database at most once a second."""
        return self._credentials.by_cookie(cookie, address)

    def actor_for_token(self, bearer: str, address: str) -> Actor | None:
        """Return the actor behind a bearer, or None; the command line's token counts on loopback only."""
        if same(token_digest(bearer), self._cli_digest):
            return cli_actor(address) if is_loopback(address) else None
        return self._credentials.by_token(bearer, address)

    def note_bad_bearer(self, bearer: str, address: str) -> None:
        """Put a bearer that nobody's lookup knew on record."""
        self._door.note_bad_bearer(bearer, address)

    def has_administrator(self) -> bool:
        """Tell whether the node is set up."""
        with self._db.read() as session:
            return store.other_administrators(session, None) > 0

    def report_ended(self) -> None:
        """Close the sockets of sessions and tokens that expired, or that another process ended.

        To be called every second or two; the span overlaps the last one because a commit may
        become visible later than its time says.
        """
        since, now = self._reported_at - _OVERLAP, self._clock.now()
        with self._db.read() as session:
            over = store.credentials_over(session, since, now)
        self._reported_at = now
        if over:
            self._forget(over)

    # -- what the verbs share

    def _forget(self, credential_ids: list[str]) -> None:
        """Make a change count at once: nothing remembered is used again, and sockets close."""
        self._credentials.forget()
        if credential_ids:
            self._on_sessions_ended(credential_ids)

    def _editable(self, session: Session, actor: Actor, name: str) -> Person:
        person = store.person_named(session, name)
        must_include(actor, person.role_or_none)
        return person

    def _replace_password(
        self, session: Session, person: Person, hashed: str | None, *, keep: str | None = None
    ) -> list[str]:
        person.password_hash = hashed
        unlock(person)
        return self._end_all(session, person, EndReason.PASSWORD, keep=keep)

    def _end_all(
        self, session: Session, person: Person, reason: EndReason, *, keep: str | None = None
    ) -> list[str]:
        now = self._clock.now()
        return [
            *store.end_sessions(session, person.id, reason, now, keep=keep),
            *store.revoke_tokens(session, person.id, reason, now),
        ]


def _keep_an_administrator(session: Session, person: Person) -> None:
    is_one = person.role == Role.ADMINISTRATOR and person.disabled_at is None
    if is_one and not store.other_administrators(session, person.id):
        raise Conflict(LAST_ADMINISTRATOR)
