"""Grants: rights on a host, on all with a tag, or on a place of files, to a person or group beside roles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.models import GROUP_LENGTH, GivenGrant, Person, PersonRecord
from quarterdeck.access.permissions import Verdict, judge
from quarterdeck.access.rights import must_include
from quarterdeck.core.actors import Actor, ActorKind, Level, Target
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.core.ids import new_id
from quarterdeck.history.service import History

KINDS: Final[Mapping[str, tuple[Level, ...]]] = MappingProxyType(
    {
        "host": (Level.READ, Level.RUN),
        "tag": (Level.READ, Level.RUN),
        "place": (Level.READ, Level.WRITE),
    }
)
"""What a right can be on, and how far it may reach there."""
LEVELS: Final = (Level.READ, Level.RUN, Level.WRITE)
_ABSENT: Final = {
    "host": "There is no host of this name.",
    "tag": "There is no host with this tag.",
    "place": "There is no place of files of this name.",
}
_MOST: Final = 10_000

Exists = Callable[[str], bool]
"""Tells whether there is an object such as ``host:web1``."""


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """A grant as pages and programs see it; one of ``person`` and ``group`` is empty."""

    id: str
    person: str
    group: str
    level: Level
    object: str
    created_at: datetime
    created_by: str

    @property
    def holder(self) -> str:
        """The one who has it, as an object of the history."""
        return f"person:{self.person}" if self.person else f"group:{self.group}"


class Grants:
    """Gives and takes grants; each change counts at once."""

    def __init__(
        self, db: Database, history: History, clock: Clock, *, forget: Callable[[], None], exists: Exists
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._forget = forget
        self._exists = exists

    def list_grants(
        self, *, person: str = "", group: str = "", object_: str = "", limit: int = 0
    ) -> list[GrantRecord]:
        """Return grants, those of one person, group or object where named, by holder; limit 0 means all."""
        query = select(GivenGrant, Person.name).outerjoin(Person, Person.id == GivenGrant.person_id)
        if person:
            query = query.where(Person.name_key == person.casefold())
        if group:
            query = query.where(GivenGrant.group_name == group)
        if object_:
            query = query.where(GivenGrant.object == object_)
        query = query.order_by(Person.name_key, GivenGrant.group_name, GivenGrant.object, GivenGrant.id)
        with self._db.read() as session:
            rows = session.execute(query.limit(limit) if limit else query)
            return [_record(row, name or "") for row, name in rows]

    def held_by(self, person: PersonRecord) -> list[GrantRecord]:
        """Return what somebody was granted, also through groups."""
        own = self.list_grants(person=person.name)
        return own + [grant for group in person.groups for grant in self.list_grants(group=group)]

    def give(
        self, actor: Actor, object_: str, level: str, *, person: str = "", group: str = ""
    ) -> GrantRecord:
        """Give a right to a person or a group. Raises Invalid by field, NotFound, Conflict, Forbidden."""
        wanted = self._checked(object_, level)
        if bool(person) == bool(group):
            raise Invalid({"person": "Name either a person or a group."})
        if group and not _is_group(group):
            raise Invalid({"group": f"Use 1 to {GROUP_LENGTH} visible characters without spaces."})
        holder = store.object_named(self._db, person) if person else f"group:{group}"
        detail = {"object": object_, "level": wanted.value}
        with self._history.action(actor, "grant.give", holder, detail=detail) as outcome:
            with self._db.write() as session:
                owner = store.person_named(session, person) if person else None
                if owner is not None:
                    must_include(actor, owner.role_or_none)
                row, narrower = self._put(session, owner, group, wanted, object_, actor)
                outcome |= {"id": row.id, "before": {"level": narrower}, "after": detail}
                record = _record(row, owner.name if owner else "")
            self._forget()
        return record

    def take(self, actor: Actor, grant_id: str) -> GrantRecord:
        """Take a grant back; raises NotFound."""
        with self._db.read() as session:
            row = session.get(GivenGrant, grant_id)
            owner = session.get(Person, row.person_id) if row and row.person_id else None
        if row is None:
            raise NotFound("There is no such grant, or it was taken back already.")
        if owner is not None:
            must_include(actor, owner.role_or_none)
        record = _record(row, owner.name if owner else "")
        detail = {"object": record.object, "level": record.level.value, "id": grant_id}
        with self._history.action(actor, "grant.take", record.holder, detail=detail) as outcome:
            outcome |= {"before": {"object": record.object, "level": record.level.value}, "after": {}}
            with self._db.write() as session:
                session.execute(delete(GivenGrant).where(GivenGrant.id == grant_id))
            self._forget()
        return record

    def explain(self, name: str, verbs: tuple[str, ...], target: Target) -> dict[str, Verdict]:
        """Return for each verb what the judge would tell a person, and why; raises NotFound."""
        with self._db.read() as session:
            person = store.person_named(session, name)
            actor = Actor(
                ActorKind.PERSON,
                person.name,
                role=person.role_or_none,
                grants=store.grants_of(session, person),
                person_id=person.id,
            )
            is_disabled = person.disabled_at is not None
        if is_disabled:
            return {verb: Verdict(False, f"{actor.name} is disabled.") for verb in verbs}
        return {verb: judge(actor, verb, target) for verb in verbs}

    def _put(
        self, session: Session, owner: Person | None, group: str, level: Level, object_: str, actor: Actor
    ) -> tuple[GivenGrant, str]:
        """Store the grant; on the same object a wider one takes the narrower one's place.

        Returns it with the level of the narrower one, or with nothing.
        """
        person_id = owner.id if owner else None
        same = (
            GivenGrant.person_id == person_id,
            GivenGrant.group_name == group,
            GivenGrant.object == object_,
        )
        before = session.scalars(select(GivenGrant).where(*same)).first()
        if before is not None and Level(before.level).includes(level):
            raise Conflict(f"{object_} is granted there already ({before.level}).")
        if before is not None:
            narrower, before.level = before.level, level.value
            return before, narrower
        if len(session.scalars(select(GivenGrant.id).limit(_MOST)).all()) >= _MOST:
            raise Conflict(f"There are {_MOST:,} grants; use tags and groups instead of single hosts.")
        row = GivenGrant(
            id=new_id(),
            person_id=person_id,
            group_name=group,
            level=level.value,
            object=object_,
            created_at=self._clock.now(),
            created_by=actor.label,
        )
        session.add(row)
        session.flush()
        return row, ""

    def _checked(self, object_: str, level: str) -> Level:
        """Return the level; raises Invalid for one that there is not on such an object, and for no object."""
        kind, _, name = object_.partition(":")
        if kind not in KINDS or not name:
            raise Invalid({"object": "Name it as host:NAME, tag:TAG or place:NAME."})
        if level not in KINDS[kind]:
            raise Invalid({"level": f"Use {' or '.join(KINDS[kind])} on a {kind}."})
        if not self._exists(object_):
            raise Invalid({"object": _ABSENT[kind]})
        return Level(level)


def drop_grants_on(session: Session, object_: str) -> int:
    """Forget the grants on an object that is removed, as another of its name is not the same.

    Returns how many there were; the caller brings the session, and owns the transaction.
    """
    ids = list(session.scalars(select(GivenGrant.id).where(GivenGrant.object == object_)))
    session.execute(delete(GivenGrant).where(GivenGrant.id.in_(ids)))
    return len(ids)


def move_grants(session: Session, before: str, after: str) -> None:
    """Let the grants on an object follow it to its new name."""
    session.execute(update(GivenGrant).where(GivenGrant.object == before).values(object=after))


def _record(row: GivenGrant, person: str) -> GrantRecord:
    return GrantRecord(
        row.id, person, row.group_name, Level(row.level), row.object, row.created_at, row.created_by
    )


def _is_group(name: str) -> bool:
    return 0 < len(name) <= GROUP_LENGTH and name.isprintable() and " " not in name
