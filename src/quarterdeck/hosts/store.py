"""Queries over the tables of hosts; callers bring the session and own the transaction."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, case, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from quarterdeck.access.permissions import Within
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.hosts.models import Host, HostKind, HostState, HostTag

SORTS: Final = ("name", "state", "kind", "address", "last_seen", "version")
_ESCAPE: Final = "\\"


@dataclass(frozen=True, slots=True)
class HostQuery:
    """Which hosts to list, and in which order; ``limit`` 0 means all."""

    tags: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    q: str = ""
    sort: str = "name"
    after: str = ""
    """Only names after this one (the cursor of the API); goes with ``sort="name"``."""
    limit: int = 0
    offset: int = 0
    within: Within = None
    """What the one who asks gets at; None is everything."""


def find(session: Session, name: str) -> Host:
    """Return the host of that name; raises NotFound."""
    host = session.scalar(select(Host).where(Host.name == name))
    if host is None:
        raise NotFound(f"There is no host named “{name[:63]}”.")
    return host


def find_by_id(session: Session, host_id: str) -> Host:
    """Return the host of that id; raises NotFound."""
    host = session.get(Host, host_id)
    if host is None:
        raise NotFound("This host has been removed.")
    return host


def count_hosts(session: Session, query: HostQuery) -> int:
    """Return how many hosts match, whatever the limit."""
    return session.scalar(select(func.count()).select_from(Host).where(*conditions_of(query))) or 0


def count_by(
    session: Session, column: InstrumentedAttribute[str], conditions: list[ColumnElement[bool]]
) -> dict[str, int]:
    """Return how many hosts of these conditions there are for each value of a column."""
    rows = session.execute(select(column, func.count()).where(*conditions).group_by(column))
    return {row[0]: row[1] for row in rows}


def all_tags(session: Session, within: Within) -> dict[str, int]:
    """Return every tag with the number of its hosts, in order."""
    query = select(HostTag.tag, func.count()).join(Host, Host.id == HostTag.host_id)
    rows = session.execute(query.where(*inside(within)).group_by(HostTag.tag).order_by(HostTag.tag))
    return {row[0]: row[1] for row in rows}


def token_holders(session: Session, digests: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return the id and name of the worker that holds each of these digests of tokens."""
    rows = session.execute(
        select(Host.token_digest, Host.id, Host.name).where(Host.token_digest.in_(digests))
    )
    return {row.token_digest: (row.id, row.name) for row in rows}


def check_free(session: Session, name: str, *, but: str = "") -> None:
    """Raise Conflict when another host has the name; names differ by more than their case."""
    statement = select(Host.name).where(func.lower(Host.name) == name.lower(), Host.id != but)
    if taken := session.scalar(statement):
        message = f"There is already a host named “{taken}”."
        raise Conflict(message, errors={"name": message})


def jump_host(session: Session, name: str, *, for_id: str = "") -> Host:
    """Return the host to jump over; raises Invalid when it can't be one, or when the way would be a ring."""
    jump = session.scalar(select(Host).where(Host.name == name))
    if jump is None or jump.kind != HostKind.SSH:
        raise Invalid({"jump": f"There is no SSH host named “{name}” to jump over."})
    steps: Host | None = jump
    for _ in range(4):
        if steps is None:
            return jump
        if steps.id == for_id:
            raise Invalid({"jump": "This way would lead back to the host itself."})
        steps = session.get(Host, steps.jump_id) if steps.jump_id else None
    if steps is not None:
        raise Invalid({"jump": "That would be more than four hosts one after another."})
    return jump


def jumping_over(session: Session, host_id: str) -> list[str]:
    """Return the names of the hosts that are reached over this one."""
    return list(session.scalars(select(Host.name).where(Host.jump_id == host_id).order_by(Host.name)))


def put_tags(host: Host, tags: Iterable[str]) -> None:
    """Make the host's tags exactly these, touching only those that differ."""
    wanted = set(tags)
    host.tags = [
        *(tag for tag in host.tags if tag.tag in wanted),
        *(HostTag(host_id=host.id, tag=tag) for tag in sorted(wanted - {tag.tag for tag in host.tags})),
    ]


def conditions_of(query: HostQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for tag in query.tags:
        conditions.append(Host.id.in_(select(HostTag.host_id).where(HostTag.tag == tag)))
    if query.kinds:
        conditions.append(Host.kind.in_(query.kinds))
    if query.states:
        conditions.append(Host.state.in_(query.states))
    if query.after:
        conditions.append(Host.name > query.after)
    conditions.extend(_matches(word) for word in query.q.split()[:8])
    return [*conditions, *inside(query.within)]


def inside(within: Within) -> list[ColumnElement[bool]]:
    """Return the conditions on hosts of what somebody gets at."""
    return [
        or_(
            Host.name.in_(bounds.names),
            Host.id.in_(select(HostTag.host_id).where(HostTag.tag.in_(bounds.tags))),
        )
        for bounds in within or ()
    ]


def _matches(word: str) -> ColumnElement[bool]:
    """Each word of a search must occur in the name, the address, the user name, the reason or a tag."""
    escaped = word.lower().replace(_ESCAPE, _ESCAPE * 2).replace("%", r"\%").replace("_", r"\_")
    like = f"%{escaped}%"
    tagged = select(HostTag.host_id).where(func.lower(HostTag.tag).like(like, escape=_ESCAPE))
    columns: tuple[InstrumentedAttribute[str], ...] = (
        Host.name,
        Host.address,
        Host.username,
        Host.state_reason,
    )
    return or_(*(func.lower(column).like(like, escape=_ESCAPE) for column in columns), Host.id.in_(tagged))


def order_of(sort: str) -> tuple[Any, ...]:  # Any: what order_by takes
    descending = sort.startswith("-")
    key = sort.removeprefix("-")
    if key not in SORTS:
        raise Invalid({"sort": f"Sort by one of {', '.join(SORTS)}, with a dash before it for descending."})
    column: ColumnElement[Any] = _severity() if key == "state" else getattr(Host, key).expression
    return (column.desc() if descending else column.asc(), Host.name)


def _severity() -> ColumnElement[Any]:
    worst_first = (HostState.LOST, HostState.LATE, HostState.REVOKED, HostState.UNKNOWN, HostState.WELL)
    return case({state.value: rank for rank, state in enumerate(worst_first)}, value=Host.state)
