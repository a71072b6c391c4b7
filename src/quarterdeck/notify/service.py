"""The verbs of toasts: sent, waiting for a page, kept in the drawer, closed."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select
from sqlalchemy.orm import Session

from quarterdeck.access.permissions import roles_within
from quarterdeck.core.actors import SYSTEM, Actor, Role
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.core.ids import new_id
from quarterdeck.history.service import History
from quarterdeck.notify.models import LINK_LENGTH, TEXT_LENGTH, Toast, ToastLevel, ToastMark, ToastRow

KEPT: Final = timedelta(days=30)
PAGE_SIZE: Final = 50
_WAITING_AT_ONCE: Final = 5
_REMOVED_AT_ONCE: Final = 1000
_COUNTED: Final = 100
_OWN_PATH: Final = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*\Z")
_BY_LENGTH: Final = 160

Step = Literal["shown_at", "read_at", "closed_at"]


class Publish(Protocol):
    """How live pages are told; callable from any thread."""

    def __call__(self, event: str, data: dict[str, Any], *, room: str) -> None: ...


class Toasts:
    """Sends toasts and keeps what each person has seen of them; safe to use from many threads."""

    def __init__(self, db: Database, history: History, publish: Publish, clock: Clock) -> None:
        self._db = db
        self._history = history
        self._publish = publish
        self._clock = clock

    def send(
        self,
        actor: Actor,
        text: str,
        *,
        level: str = ToastLevel.INFO,
        person_id: str | None = None,
        role: Role | None = None,
        link: str = "",
    ) -> Toast:
        """Keep a toast and push it to open pages; to all when neither person nor role is given.

        The text is cut to what fits and shown as one plain line. Raises Invalid. What the system itself
        tells is not put on record: its cause is.
        """
        row = self._row(actor, text, level=level, person_id=person_id, role=role, link=link)
        if actor == SYSTEM:
            self._keep(row)
        else:
            detail = {"level": row.level, "to": _room(row), "text": row.text}
            with self._history.action(actor, "toast.send", f"toast:{row.id}", detail=detail):
                self._keep(row)
        toast = row.record()
        self._publish("toast:new", _news(toast), room=_room(row))
        return toast

    def waiting(self, actor: Actor) -> list[Toast]:
        """Return what the actor's next page should show, oldest first: the new, and errors until closed."""
        is_due = or_(ToastMark.shown_at.is_(None), ToastRow.level == ToastLevel.ERROR)
        query = _visible(actor).where(is_due, ToastMark.closed_at.is_(None)).limit(_WAITING_AT_ONCE)
        return list(reversed(self._fetch(actor, query)))

    def recent(
        self, actor: Actor, *, level: str = "", before: str = "", limit: int = PAGE_SIZE
    ) -> list[Toast]:
        """Return the drawer's toasts, newest first, older than the id ``before``."""
        query = _visible(actor).where(ToastMark.closed_at.is_(None)).limit(limit)
        if level:
            query = query.where(ToastRow.level == level)
        if before:
            query = query.where(ToastRow.id < before)
        return self._fetch(actor, query)

    def unread_count(self, actor: Actor) -> int:
        """Count what the actor has not seen in the drawer, up to a hundred."""
        if actor.person_id is None:
            return 0
        unread = (
            _visible(actor)
            .where(ToastMark.read_at.is_(None), ToastMark.closed_at.is_(None))
            .with_only_columns(ToastRow.id)
            .order_by(None)
            .limit(_COUNTED)
        )
        with self._db.read() as session:
            return session.scalar(select(func.count()).select_from(unread.subquery())) or 0

    def mark_shown(self, actor: Actor, toast_ids: Iterable[str]) -> None:
        """Note that these stood on a page of the actor."""
        self._mark(actor, toast_ids, "shown_at")

    def mark_read(self, actor: Actor, toast_ids: Iterable[str]) -> None:
        """Note that the actor saw these in the drawer."""
        self._mark(actor, toast_ids, "shown_at", "read_at")

    def close(self, actor: Actor, toast_id: str) -> None:
        """Take a toast away from the actor, and from nobody else; raises NotFound for a foreign one."""
        with self._db.read() as session:
            found = session.execute(_visible(actor).where(ToastRow.id == toast_id)).first()
        if found is None:
            raise NotFound("There is no such message, or it is not for you.")
        self._mark(actor, [toast_id], "closed_at")

    def close_all(self, actor: Actor) -> None:
        """Empty the actor's drawer."""
        with self._db.read() as session:
            ids = session.scalars(
                _visible(actor).where(ToastMark.closed_at.is_(None)).with_only_columns(ToastRow.id)
            ).all()
        self._mark(actor, ids, "closed_at")

    def _row(self, actor: Actor, text: str, *, level: str, link: str, **to: Any) -> ToastRow:
        if to["person_id"] and to["role"]:
            raise Invalid({"role": "Name a person or a role, not both."})
        return ToastRow(
            id=new_id(),
            text=_one_line(text),
            level=_level(level),
            link=_own_path(link),
            created_at=self._clock.now(),
            by=actor.label[:_BY_LENGTH],
            **to,
        )

    def _keep(self, row: ToastRow) -> None:
        with self._db.write() as session:
            _remove_old(session, row.created_at - KEPT)
            session.add(row)

    def _fetch(self, actor: Actor, query: Select[ToastRow, datetime | None]) -> list[Toast]:
        if actor.person_id is None:
            return []
        with self._db.read() as session:
            return [row.record(is_unread=read_at is None) for row, read_at in session.execute(query)]

    def _mark(self, actor: Actor, toast_ids: Iterable[str], *steps: Step) -> None:
        """Note the first time of each step; nothing is written when it is all known."""
        ids = list(toast_ids)
        if actor.person_id is None or not ids:
            return
        now = self._clock.now()
        with self._db.write() as session:
            for toast_id in ids:
                key = (toast_id, actor.person_id)
                mark = session.get(ToastMark, key) or ToastMark(toast_id=toast_id, person_id=actor.person_id)
                for step in steps:
                    if getattr(mark, step) is None:
                        setattr(mark, step, now)
                session.add(mark)


def _visible(actor: Actor) -> Select[ToastRow, datetime | None]:
    """Select what is for the actor, newest first, with what they have done with it."""
    person_id = actor.person_id or ""
    roles = [role.value for role in roles_within(actor.role)]
    is_for_all = and_(ToastRow.person_id.is_(None), ToastRow.role.is_(None))
    is_mine: ColumnElement[bool] = or_(
        ToastRow.person_id == person_id,
        # Ids begin with the time: what was said to a role or to all before somebody came is not news to them.
        and_(or_(ToastRow.role.in_(roles), is_for_all), ToastRow.id > person_id),
    )
    return (
        select(ToastRow, ToastMark.read_at)
        .outerjoin(ToastMark, and_(ToastMark.toast_id == ToastRow.id, ToastMark.person_id == person_id))
        .where(is_mine)
        .order_by(ToastRow.id.desc())
    )


def _remove_old(session: Session, before: datetime) -> None:
    old = session.scalars(
        select(ToastRow.id).where(ToastRow.created_at < before).limit(_REMOVED_AT_ONCE)
    ).all()
    if old:
        session.execute(delete(ToastMark).where(ToastMark.toast_id.in_(old)))
        session.execute(delete(ToastRow).where(ToastRow.id.in_(old)))


def _one_line(text: str) -> str:
    """Return the text without control, bidi and other invisible characters, cut to what fits."""
    cut = text[: TEXT_LENGTH * 4]
    line = " ".join("".join(" " if unicodedata.category(each)[0] in "CZ" else each for each in cut).split())
    if not line:
        raise Invalid({"text": "Write what the message says."})
    return line if len(line) <= TEXT_LENGTH else line[: TEXT_LENGTH - 1] + "…"


def _level(level: str) -> str:
    try:
        return ToastLevel(level).value
    except ValueError as error:
        raise Invalid({"level": f"Choose one of {', '.join(ToastLevel)}."}) from error


def _own_path(link: str) -> str:
    if link and (len(link) > LINK_LENGTH or not _OWN_PATH.match(link)):
        raise Invalid({"link": "Use a path on this site, such as /runs."})
    return link


def _room(row: ToastRow) -> str:
    if row.person_id:
        return f"person:{row.person_id}"
    return f"role:{row.role}" if row.role else "all"


def _news(toast: Toast) -> dict[str, Any]:
    return {
        "id": toast.id,
        "text": toast.text,
        "level": toast.level.value,
        "link": toast.link,
        "created_at": toast.created_at.isoformat(),
    }
