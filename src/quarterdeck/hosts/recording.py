"""Rows into records: what may be shown of hosts, read without touching a secret.

Columns and not entities: lists and runs of 1,000 hosts read these, and entities cost three times as much.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session, aliased

from quarterdeck.core.errors import NotFound
from quarterdeck.hosts import store
from quarterdeck.hosts.models import SECRETS, Host, HostKind, HostRecord, HostState, HostTag, key_state_of
from quarterdeck.hosts.store import HostQuery

_PLAIN: Final = (
    "id",
    "name",
    "scheme",
    "address",
    "port",
    "username",
    "state_reason",
    "last_seen",
    "version",
    "host_key",
    "seen_key",
    "use_agent",
    "joined",
    "pin_first",
    "created_at",
)
_MOST_NAMED: Final = 500
"""Above so many hosts, all tags are read at once instead of those of each."""


def listed(session: Session, query: HostQuery) -> list[HostRecord]:
    """Return the hosts of a query in its order; raises Invalid for an order that there is not."""
    return _records(
        session,
        store.conditions_of(query),
        order=store.order_of(query.sort),
        limit=query.limit,
        offset=query.offset,
    )


def named(session: Session, names: Collection[str], tags: Collection[str]) -> list[HostRecord]:
    """Return the hosts of these names and those with any of these tags, by name, each once."""
    tagged = select(HostTag.host_id).where(HostTag.tag.in_(tags))
    return _records(session, [or_(Host.name.in_(names), Host.id.in_(tagged))])


def one(session: Session, condition: ColumnElement[bool], missing: str) -> HostRecord:
    """Return the host that a condition is true for; raises NotFound with the message."""
    found = _records(session, [condition])
    if not found:
        raise NotFound(missing)
    return found[0]


def _records(
    session: Session,
    conditions: list[ColumnElement[bool]],
    *,
    order: tuple[Any, ...] = (Host.name,),  # Any: what order_by takes
    limit: int = 0,
    offset: int = 0,
) -> list[HostRecord]:
    over = aliased(Host)
    statement = (
        select(
            *(getattr(Host, name) for name in _PLAIN),
            Host.kind,
            Host.state,
            over.name.label("jump"),
            *(getattr(Host, name).is_not(None).label(f"has_{name}") for name in SECRETS),
        )
        .outerjoin(over, Host.jump_id == over.id)
        .where(*conditions)
        .order_by(*order)
    )
    if limit:
        statement = statement.limit(limit).offset(offset)
    rows = session.execute(statement).all()
    tags = _tags(session, [row.id for row in rows])
    return [_record(row, tuple(tags.get(row.id, ()))) for row in rows]


def _tags(session: Session, ids: list[str]) -> dict[str, list[str]]:
    statement = select(HostTag.host_id, HostTag.tag).order_by(HostTag.tag)
    if len(ids) <= _MOST_NAMED:
        statement = statement.where(HostTag.host_id.in_(ids))
    tags: dict[str, list[str]] = defaultdict(list)
    for host_id, tag in session.execute(statement):
        tags[host_id].append(tag)
    return tags


def _record(row: Any, tags: tuple[str, ...]) -> HostRecord:  # Any: a row of the columns above
    return HostRecord(
        **{name: getattr(row, name) for name in _PLAIN},
        kind=HostKind(row.kind),
        state=HostState(row.state),
        key_state=key_state_of(row.host_key, row.seen_key),
        tags=tags,
        jump=row.jump or "",
        stored=frozenset(name for name in SECRETS if getattr(row, f"has_{name}")),
    )
