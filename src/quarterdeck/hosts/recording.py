"""Rows into records: what may be shown of hosts, read without touching a secret.

Columns and not entities: lists and runs of 1,000 hosts read these, and entities cost three times as much.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import compress
from typing import Any, Final

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session, aliased

from quarterdeck.access.permissions import Within
from quarterdeck.core.actors import Target
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
    "state_since",
    "clock_skew_seconds",
    "last_seen",
    "version",
    "host_key",
    "seen_key",
    "use_agent",
    "joined",
    "pin_first",
    "created_at",
)
_WATCHED: Final = select(
    *(getattr(Host, name) for name in _PLAIN if name not in ("last_seen", "created_at")),
    Host.kind,
    Host.state,
    Host.flapping_since,
    Host.jump_id,
    *(getattr(Host, name).is_not(None) for name in SECRETS),
)
_OVER: Final = aliased(Host)
"""The host that one is reached over. One for all statements, so that their SQL is made once."""
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


def named(
    session: Session,
    names: Collection[str],
    tags: Collection[str],
    within: Within = None,
) -> list[HostRecord]:
    """Return the hosts of these names and those with any of these tags, by name, each once."""
    tagged = select(HostTag.host_id).where(HostTag.tag.in_(tags))
    return _records(session, [or_(Host.name.in_(names), Host.id.in_(tagged)), *store.inside(within)])


def one(session: Session, condition: ColumnElement[bool], missing: str) -> HostRecord:
    """Return the host that a condition is true for; raises NotFound with the message."""
    found = _records(session, [condition])
    if not found:
        raise NotFound(missing)
    return found[0]


def targets(session: Session, ids: Collection[str]) -> dict[str, Target]:
    """Return the names and tags of these hosts by id, as the judge sees them."""
    tags = _tags(session, list(ids))
    rows = session.execute(select(Host.id, Host.name).where(Host.id.in_(ids)))
    return {row.id: Target(f"host:{row.name}", frozenset(tags.get(row.id, ()))) for row in rows}


def watched(session: Session) -> tuple[Sequence[Any], dict[str, list[str]]]:  # Any: rows
    """Return what the watch looks at of each host, without times of contact, and the tags by id."""
    rows = session.execute(_WATCHED).all()
    return rows, _tags(session, [row.id for row in rows])


def by_ids(session: Session, ids: Collection[str], within: Within = None) -> list[HostRecord]:
    """Return the hosts of these ids that there are and that somebody gets at, by name."""
    return _records(session, [Host.id.in_(ids), *store.inside(within)])


def roll(session: Session, within: Within) -> tuple[Sequence[Any], dict[str, list[str]]]:  # Any: rows
    """Return id, name and state of each host, and the tags by id."""
    rows = session.execute(select(Host.id, Host.name, Host.state).where(*store.inside(within))).all()
    return rows, _tags(session, [row.id for row in rows])


def _records(
    session: Session,
    conditions: list[ColumnElement[bool]],
    *,
    order: tuple[Any, ...] = (Host.name,),  # Any: what order_by takes
    limit: int = 0,
    offset: int = 0,
) -> list[HostRecord]:
    statement = (
        select(
            *(getattr(Host, name) for name in _PLAIN),
            Host.kind,
            Host.state,
            Host.flapping_since,
            _OVER.name,
            *(getattr(Host, name).is_not(None) for name in SECRETS),
        )
        .outerjoin(_OVER, Host.jump_id == _OVER.id)
        .where(*conditions)
        .order_by(*order)
    )
    if limit:
        statement = statement.limit(limit).offset(offset)
    session.flush()  # the connection, unlike the session, doesn't see to it before it reads
    rows = session.connection().execute(statement).all()
    tags = _tags(session, [row[0] for row in rows])
    return [_record(row, tuple(tags.get(row[0], ()))) for row in rows]


def _tags(session: Session, ids: list[str]) -> dict[str, list[str]]:
    statement = select(HostTag.host_id, HostTag.tag).order_by(HostTag.tag)
    if len(ids) <= _MOST_NAMED:
        statement = statement.where(HostTag.host_id.in_(ids))
    tags: dict[str, list[str]] = defaultdict(list)
    for host_id, tag in session.execute(statement):
        tags[host_id].append(tag)
    return tags


def _record(row: Any, tags: tuple[str, ...]) -> HostRecord:  # Any: a row of the columns of _records
    """Make a record by the places of the columns: by their names it takes three times as long."""
    plain = dict(zip(_PLAIN, row, strict=False))
    kind, state, flapping_since, jump, *has_secret = row[len(_PLAIN) :]
    return HostRecord(
        **plain,
        kind=HostKind(kind),
        state=HostState(state),
        is_flapping=flapping_since is not None,
        key_state=key_state_of(plain["host_key"], plain["seen_key"]),
        tags=tags,
        jump=jump or "",
        stored=frozenset(compress(SECRETS, has_secret)),
    )
