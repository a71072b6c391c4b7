"""Reading hosts: lists, counts, and the choice of hosts for a run."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select

from quarterdeck.access.permissions import Within
from quarterdeck.core.actors import Target
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.hosts import recording, store
from quarterdeck.hosts.contacts import Contacts
from quarterdeck.hosts.models import Host, HostKind, HostRecord, HostState
from quarterdeck.hosts.silences import Silences
from quarterdeck.hosts.store import HostQuery


@dataclass(frozen=True, slots=True)
class HostCounts:
    """How many hosts there are, by state and by kind."""

    total: int
    states: dict[HostState, int]
    kinds: dict[HostKind, int]

    @property
    def asked(self) -> int:
        """How many there are without the revoked ones, which nobody expects an answer of."""
        return self.total - self.states.get(HostState.REVOKED, 0)


@dataclass(frozen=True, slots=True)
class Listed:
    """The little of a host that is looked at every few seconds."""

    name: str
    tags: frozenset[str]
    state: HostState


class Hostlist:
    """The list of hosts as it stands; never says anything of secrets."""

    def __init__(self, db: Database, contacts: Contacts, silences: Silences) -> None:
        self._db, self._contacts, self._silences = db, contacts, silences

    def select(self, query: HostQuery) -> list[HostRecord]:
        """Return the hosts of a query; raises Invalid for an order that there is not."""
        with self._db.read() as session:
            records = recording.listed(session, query)
        return self._with_memory(records)

    def count(self, query: HostQuery) -> int:
        with self._db.read() as session:
            return store.count_hosts(session, query)

    def count_states(self, query: HostQuery) -> dict[HostState, int]:
        """Return how many hosts of each state match, whatever the limit; none of a state that no host has."""
        with self._db.read() as session:
            counts = store.count_by(session, Host.state, store.conditions_of(query))
        return {HostState(state): count for state, count in counts.items()}

    def addresses(self) -> dict[str, str]:
        """Return the address of each host by its id: a thousand of them without all that a record has."""
        with self._db.read() as session:
            rows = session.execute(select(Host.id, Host.address))
            return {row.id: row.address for row in rows}

    def watched(self) -> dict[str, tuple[Any, tuple[str, ...]]]:  # Any: a row
        """Return what the watch looks at of each host, by id, with its tags: quick, for it does so often."""
        with self._db.read() as session:
            rows, tags = recording.watched(session)
        return {row.id: (row, tuple(tags.get(row.id, ()))) for row in rows}

    def by_ids(self, host_ids: Collection[str], within: Within = None) -> list[HostRecord]:
        """Return the hosts of these ids that there are and that somebody gets at, by name."""
        if not host_ids:
            return []
        with self._db.read() as session:
            records = recording.by_ids(session, host_ids, within)
        return self._with_memory(records)

    def roll(self, within: Within = None) -> dict[str, Listed]:
        """Return names, tags and states by id, of those that somebody gets at."""
        with self._db.read() as session:
            rows, tags = recording.roll(session, within)
        return {
            row.id: Listed(row.name, frozenset(tags.get(row.id, ())), HostState(row.state)) for row in rows
        }

    def get(self, name: str) -> HostRecord:
        """Return the host of that name; raises NotFound."""
        return self._one(Host.name == name, f"There is no host named “{name[:63]}”.")

    def get_by_id(self, host_id: str) -> HostRecord:
        """Return the host of that id; raises NotFound."""
        return self._one(Host.id == host_id, "This host has been removed.")

    def by_names(self, names: Collection[str]) -> list[HostRecord]:
        """Return the hosts of these names that there are, by name."""
        with self._db.read() as session:
            records = recording.named(session, names, ())
        return self._with_memory(records)

    def by_token_digest(self, digest: str) -> HostRecord | None:
        """Return the worker whose token has this digest; cheap for guesses, of which there may be many."""
        with self._db.read() as session:
            host_id = session.scalar(select(Host.id).where(Host.token_digest == digest))
        try:
            return self.get_by_id(host_id) if host_id else None
        except NotFound:
            return None

    def holders_of(self, digests: Collection[str]) -> dict[str, tuple[str, str]]:
        """Return the id and name of the worker of each of these digests of tokens that counts."""
        with self._db.read() as session:
            return store.token_holders(session, digests)

    def resolve(
        self, names: Collection[str], tags: Collection[str], within: Within = None
    ) -> list[HostRecord]:
        """Return the hosts of these names and of any of these tags, by name, each once.

        Raises Invalid for a name or tag that there is not, and for an empty choice: nothing never
        means everything.
        """
        if not names and not tags:
            raise Invalid({"hosts": "Choose at least one host or tag."})
        with self._db.read() as session:
            records = recording.named(session, names, tags, within)
        faults = _missing(records, names, tags)
        if faults:
            raise Invalid(faults)
        return self._with_memory(records)

    def counts(self, within: Within = None) -> HostCounts:
        """Count hosts by state and by kind."""
        with self._db.read() as session:
            states = store.count_by(session, Host.state, store.inside(within))
            kinds = store.count_by(session, Host.kind, store.inside(within))
        return HostCounts(
            total=sum(states.values()),
            states={state: states.get(state, 0) for state in HostState},
            kinds={kind: kinds.get(kind, 0) for kind in HostKind},
        )

    def tags(self, within: Within = None) -> dict[str, int]:
        """Return every tag with the number of its hosts."""
        with self._db.read() as session:
            return store.all_tags(session, within)

    def has_object(self, object_: str) -> bool:
        """Tell whether there is the host of ``host:NAME``, or any with the tag of ``tag:TAG``."""
        kind, _, value = object_.partition(":")
        return bool(self.by_names([value])) if kind == "host" else value in self.tags()

    def targets(self, name: str) -> list[Target]:
        """Return the host of that name as the judge sees it; nothing when there is none."""
        with self._db.read() as session:
            return [host.target for host in recording.named(session, [name], ())]

    def targets_by_id(self, ids: Collection[str]) -> dict[str, Target]:
        """Return each of these hosts that there is, by its id, as the judge sees it."""
        with self._db.read() as session:
            return recording.targets(session, ids)

    def _one(self, condition: ColumnElement[bool], missing: str) -> HostRecord:
        with self._db.read() as session:
            record = recording.one(session, condition, missing)
        return self._with_memory([record])[0]

    def _with_memory(self, records: list[HostRecord]) -> list[HostRecord]:
        """Add what memory knows of the hosts."""
        return self._silences.with_silences(self._contacts.with_times(records))


def _missing(records: list[HostRecord], names: Collection[str], tags: Collection[str]) -> dict[str, str]:
    faults = {}
    found = {record.name for record in records}
    used = {tag for record in records for tag in record.tags}
    if unknown := sorted(set(names) - found):
        faults["hosts"] = f"There is no host named {_some(unknown)}."
    if unused := sorted(set(tags) - used):
        faults["tags"] = f"No host has the tag {_some(unused)}."
    return faults


def _some(words: list[str]) -> str:
    shown = ", ".join(f"“{word[:63]}”" for word in words[:5])
    return f"{shown} and {len(words) - 5} more" if len(words) > 5 else shown
