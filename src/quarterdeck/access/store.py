"""Reads and changes of the people's tables that several verbs share; each works in its caller's session."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from quarterdeck.access.models import (
    EndReason,
    GivenGrant,
    Identity,
    Person,
    RefreshFamily,
    SignInLink,
    SignInSession,
    Token,
)
from quarterdeck.core.actors import Grant, Role
from quarterdeck.core.db import Database
from quarterdeck.core.errors import NotFound
from quarterdeck.core.ids import new_id

SESSIONS_KEPT: Final = 50
"""Live sessions of one person; a further sign-in ends the one that was unused for longest."""
KEPT_AFTER_END: Final = timedelta(days=30)


def find_person(session: Session, name: str) -> Person | None:
    """Return the person of that name in any case of letters."""
    return session.scalars(select(Person).where(Person.name_key == name.casefold())).one_or_none()


def object_named(db: Database, name: str) -> str:
    """Return a person as the object of a record, by the name as it is kept, however it was typed."""
    with db.read() as session:
        person = find_person(session, name)
    return f"person:{person.name if person else name}"


def person_named(session: Session, name: str) -> Person:
    """Return the person, locked until the commit where the database can; raises NotFound."""
    query = select(Person).where(Person.name_key == name.casefold()).with_for_update()
    person = session.scalars(query).one_or_none()
    if person is None:
        raise NotFound("There is no person of this name.")
    return person


def connected(session: Session, person_id: str | None = None) -> frozenset[str]:
    """Return the ids of people who have an identity at a provider: of all, or of one of them."""
    query = select(Identity.person_id).distinct()
    return frozenset(session.scalars(query.where(Identity.person_id == person_id) if person_id else query))


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
    """Forget failed sign-ins, and the lock that they led to."""
    person.failed_count, person.locked_until = 0, None


def other_administrators(session: Session, person_id: str | None) -> int:
    """Count the administrators who are not disabled, apart from one."""
    query = select(func.count()).where(
        Person.role == Role.ADMINISTRATOR, Person.disabled_at.is_(None), Person.id != (person_id or "")
    )
    return session.scalar(query) or 0


def grants_of(session: Session, person: Person) -> tuple[Grant, ...]:
    """Return what was granted to a person and to their groups."""
    to_group = GivenGrant.person_id.is_(None) & GivenGrant.group_name.in_(person.groups)
    query = select(GivenGrant).where(or_(GivenGrant.person_id == person.id, to_group))
    return tuple(row.grant() for row in session.scalars(query.order_by(GivenGrant.id)))


def end_sessions(
    session: Session, person_id: str, reason: EndReason, now: datetime, *, keep: str | None = None
) -> list[str]:
    """End a person's live sessions but one; returns their ids."""
    of_person = (SignInSession.person_id == person_id, SignInSession.ended_at.is_(None))
    ids = list(session.scalars(select(SignInSession.id).where(*of_person, SignInSession.id != (keep or ""))))
    mark_ended(session, ids, reason, now)
    return ids


def mark_ended(session: Session, ids: Iterable[str], reason: EndReason, now: datetime) -> None:
    session.execute(
        update(SignInSession)
        .where(SignInSession.id.in_(ids), SignInSession.ended_at.is_(None))
        .values(ended_at=now, ended_reason=reason.value)
    )


def revoke_tokens(session: Session, person_id: str, reason: EndReason, now: datetime) -> list[str]:
    """Revoke a person's tokens; returns their ids."""
    of_person = (Token.person_id == person_id, Token.revoked_at.is_(None))
    ids = session.scalars(select(Token.id).where(*of_person)).all()
    session.execute(update(Token).where(*of_person).values(revoked_at=now, revoked_reason=reason.value))
    return list(ids)


def end_families(session: Session, person_id: str, reason: EndReason, now: datetime) -> list[str]:
    """End a person's sign-ins of API clients; returns their ids."""
    of_person = (RefreshFamily.person_id == person_id, RefreshFamily.ended_at.is_(None))
    ids = list(session.scalars(select(RefreshFamily.id).where(*of_person)))
    mark_families_ended(session, ids, reason, now)
    return ids


def mark_families_ended(session: Session, ids: Iterable[str], reason: EndReason, now: datetime) -> None:
    session.execute(
        update(RefreshFamily)
        .where(RefreshFamily.id.in_(ids), RefreshFamily.ended_at.is_(None))
        .values(ended_at=now, ended_reason=reason.value)
    )


def end_credentials(
    session: Session, person: Person, reason: EndReason, now: datetime, *, keep: str | None = None
) -> list[str]:
    """End all that somebody may act by, but one session; returns the ids."""
    return [
        *end_sessions(session, person.id, reason, now, keep=keep),
        *revoke_tokens(session, person.id, reason, now),
        *end_families(session, person.id, reason, now),
    ]


def crowd_out(session: Session, person_id: str, now: datetime) -> list[str]:
    """Forget sessions that ended long ago and end the live ones beyond the limit; returns the latter."""
    old = now - KEPT_AFTER_END
    is_old = or_(SignInSession.ended_at < old, SignInSession.expires_at < old)
    session.execute(delete(SignInSession).where(SignInSession.person_id == person_id, is_old))
    ids = [row.id for row in live_sessions(session, person_id, now)[SESSIONS_KEPT:]]
    mark_ended(session, ids, EndReason.CROWDED_OUT, now)
    return ids


def live_sessions(session: Session, person_id: str, now: datetime) -> list[SignInSession]:
    """Return a person's sessions that still count, last used first."""
    query = (
        select(SignInSession)
        .where(SignInSession.person_id == person_id)
        .where(SignInSession.ended_at.is_(None), SignInSession.expires_at > now)
        .order_by(SignInSession.last_seen_at.desc(), SignInSession.id.desc())
    )
    return list(session.scalars(query))


def credentials_over(session: Session, since: datetime, now: datetime) -> list[str]:
    """Return the ids of sessions and tokens that ended or expired in a span of time, by any process."""
    sessions = select(SignInSession.id).where(
        or_(SignInSession.ended_at > since, SignInSession.expires_at.between(since, now))
    )
    tokens = select(Token.id).where(or_(Token.revoked_at > since, Token.expires_at.between(since, now)))
    families = select(RefreshFamily.id).where(
        or_(RefreshFamily.ended_at > since, RefreshFamily.expires_at.between(since, now))
    )
    return [*session.scalars(sessions), *session.scalars(tokens), *session.scalars(families)]


def fault_of_token(session: Session, digest: str, now: datetime) -> tuple[str, dict[str, str]]:
    """Return whose token this is, as an object of the history, which one, and why it counts no more."""
    query = select(Token, Person).join(Person, Person.id == Token.person_id).where(Token.digest == digest)
    found = session.execute(query).one_or_none()
    if found is None:
        return "", {"reason": "unknown"}
    token, person = found
    if token.revoked_at is not None:
        reason = f"revoked: {token.revoked_reason}"
    elif person.disabled_at is not None:
        reason = "person disabled"
    else:
        reason = "expired" if token.expires_at and token.expires_at <= now else "not valid here"
    return f"person:{person.name}", {"label": token.label, "reason": reason}


def usable_link(session: Session, digest: str, now: datetime) -> SignInLink | None:
    """Return a link that is neither used nor expired."""
    query = select(SignInLink).where(
        SignInLink.digest == digest, SignInLink.used_at.is_(None), SignInLink.expires_at > now
    )
    return session.scalars(query).one_or_none()


def use_link(session: Session, link: SignInLink, now: datetime) -> bool:
    """Use a link up; of several that try at once, one is told True."""
    claimed = session.connection().execute(
        update(SignInLink)
        .where(SignInLink.id == link.id, SignInLink.used_at.is_(None), SignInLink.expires_at > now)
        .values(used_at=now)
    )
    return claimed.rowcount == 1


def drop_links(session: Session, person_id: str | None, now: datetime) -> None:
    """Forget a person's earlier links (or those of the first set-up), and all that expired."""
    of_person = SignInLink.person_id.is_(None) if person_id is None else SignInLink.person_id == person_id
    for link in session.scalars(select(SignInLink).where(or_(of_person, SignInLink.expires_at <= now))):
        session.delete(link)
