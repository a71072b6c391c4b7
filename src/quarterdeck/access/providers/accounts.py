"""Whose account an identity is: found by issuer and subject and by nothing else, never by e-mail or name."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.agents import Client
from quarterdeck.access.models import NAME_LENGTH, EndReason, Identity, Person
from quarterdeck.access.names import checked_name, is_name
from quarterdeck.access.providers import rules
from quarterdeck.access.providers.claims import Claims
from quarterdeck.access.providers.faults import Fault
from quarterdeck.core.actors import Actor, Role
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.core.identity_settings import ProviderSettings
from quarterdeck.core.ids import new_id
from quarterdeck.history.service import History

NOT_MEMBER: Final = "You are not in the group at {label} that may sign in here. Ask an administrator."
KEPT_OUT: Final = "This account is disabled. Ask an administrator."
TAKEN: Final = "This identity belongs to another account here. Sign in with it, or disconnect it there first."
LAST_WAY: Final = (
    "This is your only way to sign in. Connect another provider first, or ask an administrator for a link "
    "by which you can choose a password."
)
_TRIES: Final = 5
_ODD: Final = re.compile(r"[^A-Za-z0-9._@+-]+")


@dataclass(frozen=True, slots=True)
class Connection:
    """An identity as its owner sees it."""

    id: str
    provider: str
    issuer: str
    subject: str
    created_at: datetime
    last_used_at: datetime


class Accounts:
    """Finds, makes and changes accounts by identities."""

    def __init__(
        self,
        db: Database,
        history: History,
        clock: Clock,
        *,
        end_credentials: Callable[[Session, Person, EndReason], list[str]],
        forget: Callable[[list[str]], None],
        rights_changed: Callable[[], None],
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._end_credentials = end_credentials
        self._forget = forget
        self._rights_changed = rights_changed

    def admit(self, provider: ProviderSettings, claims: Claims, client: Client) -> Person:
        """Return the account of somebody, made at the first time and brought up to date each time.

        Raises Fault for those who may not come in.
        """
        self._must_be_member(provider, claims)
        person = self._find(claims)
        if person is None:
            return self._add(provider, claims, client)
        if person.disabled_at is not None or person.is_service:
            raise Fault(f"{person.name} is kept out: the account is disabled or no person's", KEPT_OUT)
        self._note_use(provider, claims)
        if provider.gives_roles:
            self._update_role(provider, claims, person, client)
        self._update_groups(provider, claims, person, client)
        return person

    def connect(self, provider: ProviderSettings, claims: Claims, actor: Actor) -> None:
        """Give an identity to the actor's account; raises Fault when it is another's or not a member's."""
        self._must_be_member(provider, claims)
        owner = self._find(claims)
        if owner is not None and owner.id != actor.person_id:
            raise Fault("the identity belongs to another account", TAKEN)
        detail = {"provider": provider.name, "issuer": claims.issuer, "subject": claims.subject}
        with self._history.action(actor, "person.connect", f"person:{actor.name}", detail=detail) as outcome:
            if owner is not None:
                return
            outcome |= {"before": {}, "after": {"identity": f"{provider.name}: {claims.subject}"}}
            try:
                with self._db.write() as session:
                    person = session.get_one(Person, actor.person_id)
                    session.add(self._identity(provider, claims, person.id))
            except IntegrityError as error:
                raise Fault("the identity was taken a moment ago", TAKEN) from error

    def disconnect(
        self, actor: Actor, identity_id: str, *, issuers: Collection[str], has_local_sign_in: bool
    ) -> None:
        """Take an identity from the actor's account; raises NotFound, or Conflict for the last way in.

        ``issuers`` are those that are in the settings: others open no way in.
        """
        with self._db.read() as session:
            found = session.get(Identity, identity_id)
        if found is None or found.person_id != actor.person_id:
            raise NotFound("There is no such connection.")
        detail = {"provider": found.provider, "issuer": found.issuer, "subject": found.subject}
        with (
            self._history.action(
                actor, "person.disconnect", f"person:{actor.name}", detail=detail
            ) as outcome,
            self._db.write() as session,
        ):
            outcome |= {"before": {"identity": f"{found.provider}: {found.subject}"}, "after": {}}
            person = session.get_one(Person, actor.person_id, with_for_update=True)
            has_password = person.password_hash is not None and has_local_sign_in
            others = [each for each in _identities(session, person.id) if each.id != identity_id]
            if not has_password and not any(each.issuer in issuers for each in others):
                raise Conflict(LAST_WAY)
            if row := session.get(Identity, identity_id):
                session.delete(row)

    def connections(self, person_id: str) -> list[Connection]:
        """Return somebody's identities, oldest first."""
        with self._db.read() as session:
            return [
                Connection(row.id, row.provider, row.issuer, row.subject, row.created_at, row.last_used_at)
                for row in _identities(session, person_id)
            ]

    def uses(self) -> dict[str, tuple[int, datetime]]:
        """Return how many identities there are of each issuer, and when one was used last."""
        query = select(Identity.issuer, func.count(), func.max(Identity.last_used_at))
        with self._db.read() as session:
            return {row[0]: (row[1], row[2]) for row in session.execute(query.group_by(Identity.issuer))}

    def _must_be_member(self, provider: ProviderSettings, claims: Claims) -> None:
        if not rules.is_member(provider, claims.groups):
            raise Fault("not in the required group", NOT_MEMBER)

    def _find(self, claims: Claims) -> Person | None:
        with self._db.read() as session:
            row = _identity_of(session, claims)
            return session.get_one(Person, row.person_id) if row else None

    def _identity(self, provider: ProviderSettings, claims: Claims, person_id: str) -> Identity:
        now = self._clock.now()
        return Identity(
            id=new_id(),
            person_id=person_id,
            provider=provider.name,
            issuer=claims.issuer,
            subject=claims.subject,
            created_at=now,
            last_used_at=now,
        )

    def _note_use(self, provider: ProviderSettings, claims: Claims) -> None:
        with self._db.write() as session:
            if row := _identity_of(session, claims):
                row.last_used_at, row.provider = self._clock.now(), provider.name

    def _add(self, provider: ProviderSettings, claims: Claims, client: Client) -> Person:
        """Make an account; another sign-in at the same moment may take the name or be the same person's."""
        for _ in range(_TRIES):
            name = self._free_name(claims.login)
            person = store.new_person(name, rules.role_by(provider, claims.groups), None, self._clock.now())
            person.display_name = claims.display_name
            person.groups = list(rules.groups_by(provider, claims.groups))
            detail = {
                "role": person.role,
                "groups": person.groups,
                "by": provider.name,
                "issuer": claims.issuer,
                "subject": claims.subject,
            }
            try:
                with (
                    self._history.action(client.nobody, "person.add", f"person:{name}", detail=detail) as out,
                    self._db.write() as session,
                ):
                    out["after"] = {"role": person.role, "groups": person.groups}
                    session.add(person)
                    session.flush()
                    session.add(self._identity(provider, claims, person.id))
            except IntegrityError:
                if found := self._find(claims):
                    return found
                continue
            return person
        raise Fault("no free name was found for a new account")

    def _free_name(self, login: str) -> str:
        """Return a name like the login that nobody has; the login proves nothing about who it is."""
        base = _ODD.sub("-", login).strip("-._@+")[: NAME_LENGTH - 4] or "person"
        with self._db.read() as session:
            for number in range(1, 1_000):
                name = base if number == 1 else f"{base}-{number}"
                if _is_usable(name) and store.find_person(session, name) is None:
                    return name
        return f"{base[:36]}-{new_id().lower()}"

    def _update_role(
        self, provider: ProviderSettings, claims: Claims, person: Person, client: Client
    ) -> None:
        """Give the role that the rules give now; what was given for the old one ends, as by ``set_role``."""
        role = rules.role_by(provider, claims.groups)
        if person.role_or_none is role:
            return
        if self._is_last_administrator(person):
            detail = {"by": provider.name, "rules_give": role, "reason": "the last administrator is kept"}
            self._history.event(client.nobody, "person.role_kept", f"person:{person.name}", detail=detail)
            return
        detail = {"role": role, "by": provider.name}
        with self._history.action(
            client.nobody, "person.role", f"person:{person.name}", detail=detail
        ) as out:
            ended: list[str] = []
            out["before"] = {"role": person.role}
            with self._db.write() as session:
                current = session.get_one(Person, person.id, with_for_update=True)
                if store.other_administrators(session, person.id) or current.role != Role.ADMINISTRATOR:
                    current.role = role.value if role else None
                    ended = self._end_credentials(session, current, EndReason.ROLE)
                person.role = current.role
            out |= {"after": {"role": person.role}, "ended": len(ended)}
            self._forget(ended)

    def _is_last_administrator(self, person: Person) -> bool:
        if person.role != Role.ADMINISTRATOR:
            return False
        with self._db.read() as session:
            return store.other_administrators(session, person.id) == 0

    def _update_groups(
        self, provider: ProviderSettings, claims: Claims, person: Person, client: Client
    ) -> None:
        groups = rules.groups_by(provider, claims.groups)
        if not provider.group_rules or tuple(person.groups) == groups:
            return
        detail = {"groups": groups, "by": provider.name}
        with (
            self._history.action(
                client.nobody, "person.groups", f"person:{person.name}", detail=detail
            ) as out,
            self._db.write() as session,
        ):
            out |= {"before": {"groups": person.groups}, "after": {"groups": groups}}
            session.get_one(Person, person.id, with_for_update=True).groups = list(groups)
        person.groups = list(groups)
        self._rights_changed()  # groups have grants


def _identity_of(session: Session, claims: Claims) -> Identity | None:
    query = select(Identity).where(Identity.issuer == claims.issuer, Identity.subject == claims.subject)
    row = session.scalars(query).one_or_none()
    if row is not None and (row.issuer, row.subject) != (claims.issuer, claims.subject):
        # A database that compares without regard to case must not make two people one.
        raise Fault("the subject differs from a known one only by the case of letters")
    return row


def _identities(session: Session, person_id: str) -> list[Identity]:
    query = select(Identity).where(Identity.person_id == person_id)
    return list(session.scalars(query.order_by(Identity.created_at, Identity.id)))


def _is_usable(name: str) -> bool:
    try:
        return is_name(name) and bool(checked_name(name))
    except Invalid:
        return False
