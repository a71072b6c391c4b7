"""One-time links: they sign somebody in, let them choose a password, or set up the first administrator."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.agents import Client
from quarterdeck.access.lifetimes import FIRST_LINK
from quarterdeck.access.models import EndReason, Person, SignInLink
from quarterdeck.access.names import checked_name
from quarterdeck.access.passwords import Passwords, checked_password
from quarterdeck.access.sessions import Sessions
from quarterdeck.core.actors import SYSTEM, Actor, Role
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, NotFound
from quarterdeck.core.ids import new_id
from quarterdeck.core.security import new_token, token_digest
from quarterdeck.history.service import History

LINK_DEAD: Final = "This link was used already or is too old. Ask for a new one."


@dataclass(frozen=True, slots=True)
class LinkPurpose:
    """What a link is good for; ``person`` is None when it sets up the first administrator."""

    person: str | None
    needs_password: bool


class Links:
    """Makes links and uses them up."""

    def __init__(  # each part is made by Access and used here only
        self,
        db: Database,
        history: History,
        clock: Clock,
        *,
        passwords: Passwords,
        sessions: Sessions,
        forget: Callable[[list[str]], None],
        has_local_sign_in: bool = True,
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._passwords = passwords
        self._sessions = sessions
        self._forget = forget
        self._has_local = has_local_sign_in

    def make(self, actor: Actor, name: str, *, valid_for: timedelta) -> str:
        """Return the path of a link that signs the person in once; raises Conflict for a disabled one."""
        with self._history.action(actor, "person.link", store.object_named(self._db, name)) as outcome:
            with self._db.write() as session:
                person = store.person_named(session, name)
                if person.disabled_at is not None:
                    raise Conflict(f"{person.name} is disabled; enable the person first.")
                if person.is_service:
                    raise Conflict(
                        f"{person.name} is a service account and does not sign in; make it a token."
                    )
                token, expires_at = self._add_link(session, person.id, valid_for)
            outcome["expires"] = expires_at.isoformat()
        return link_path(token)

    def make_first(self) -> str | None:
        """Return the path of a new link for the first administrator, or None when there is one."""
        with self._db.read() as session:
            if store.other_administrators(session, None):
                return None
        with self._history.action(SYSTEM, "person.first_link"), self._db.write() as session:
            token, _ = self._add_link(session, None, FIRST_LINK)
        return link_path(token)

    def purpose_of(self, token: str) -> LinkPurpose:
        """Look at a link without using it; raises NotFound when it is dead."""
        with self._db.read() as session:
            link = self._live_link(session, token)
            if link.person_id is None:
                return LinkPurpose(None, needs_password=True)
            person = session.get_one(Person, link.person_id)
            needs_password = self._has_local and person.password_hash is None
            return LinkPurpose(person.name, needs_password)

    def use(self, token: str, client: Client, *, password: str = "") -> str:
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
        return self._sessions.open(person, client, by="link", stored=person.password_hash)

    def set_up(self, token: str, name: str, password: str, client: Client) -> str:
        """Make the first administrator by the first link, once and for ever; returns a session's cookie."""
        purpose = self.purpose_of(token)
        if purpose.person is not None:
            raise NotFound(LINK_DEAD)
        name = checked_name(name)
        hashed = self._passwords.hash(checked_password(password, name))
        detail = {"role": Role.ADMINISTRATOR.value, "by": "first link"}
        with self._history.action(client.nobody, "person.add", f"person:{name}", detail=detail) as outcome:
            outcome["after"] = {"role": detail["role"]}
            person = self._add_first(token, name, hashed)
        return self._sessions.open(person, client, by="first link", stored=hashed)

    def _add_first(self, token: str, name: str, hashed: str) -> Person:
        now = self._clock.now()
        with self._db.write() as session:
            link = self._live_link(session, token)
            if not store.use_link(session, link, now):
                raise NotFound(LINK_DEAD)
            if store.find_person(session, name):
                raise Conflict("There is a person of this name already; choose another name.")
            person = store.new_person(name, Role.ADMINISTRATOR, hashed, now)
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
                ended = store.end_credentials(session, person, EndReason.PASSWORD, now)
                person.password_hash = hashed
            store.unlock(person)
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


def link_path(token: str) -> str:
    return f"/sign-in/link/{token}"
