"""Reads and changes of the people's tables that several verbs share; each works in its caller's session."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from quarterdeck.access.models import EndReason, Person, SignInLink, SignInSession, Token
from quarterdeck.core.actors import Role
from quarterdeck.core.errors import NotFound

SESSIONS_KEPT: Final = 50
"""Live sessions of one person; a further sign-in ends the one that was unused for longest."""
KEPT_AFTER_END: Final = timedelta(days=30)


def find_person(session: Session, name: str) -> Person | None:
    """Return the person of that name in any case of letters."""
    return session.scalars(select(Person).where(Person.name_key == name.casefold())).one_or_none()


def person_named(session: Session, name: str) -> Person:
    """Return the person, locked until the commit where the database can; raises NotFound."""
    query = select(Person).where(Person.name_key == name.casefold()).with_for_update()
    person = session.scalars(query).one_or_none()
    if person is None:
        raise NotFound("There is no person of this name.")
    return person


def other_administrators(session: Session, person_id: str | None) -> int:
    """Count the administrators who are not disabled, apart from one."""
    query = select(func.count()).where(
        Person.role == Role.ADMINISTRATOR, Person.disabled_at.is_(None), Person.id != (person_id or "")
    )
    return session.scalar(query) or 0


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
    return [*session.scalars(sessions), *session.scalars(tokens)]


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
