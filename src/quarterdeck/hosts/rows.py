"""Writing hosts: from a checked draft into a row, within the caller's transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.core.ids import new_id
from quarterdeck.core.vault import Vault
from quarterdeck.hosts import sealing, store
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import Host, HostKind, HostRecord, HostState

_PLAIN: Final = ("address", "port", "username", "scheme", "use_agent")


class Rows:
    """Inserts and changes rows; seals the secrets on the way."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault, self._clock = vault, clock

    def insert(self, session: Session, draft: HostDraft, *, pin_first: bool) -> Host:
        """Add a host. Raises Conflict for a name in use or a second master, Invalid for a bad jump host."""
        _check_new(session, draft)
        host = Host(
            id=new_id(),
            name=draft.name,
            kind=draft.kind,
            host_key=draft.host_key,
            pin_first=pin_first and draft.kind is HostKind.SSH and not draft.host_key,
            state=HostState.UNKNOWN,
            state_since=(now := self._clock.now()),
            created_at=now,
            **{name: getattr(draft, name) for name in _PLAIN},
        )
        if draft.jump:
            host.jump = store.jump_host(session, draft.jump)
        sealing.store(self._vault, host, draft.secrets, frozenset())
        store.put_tags(host, draft.tags)
        session.add(host)
        session.flush()
        return host

    def insert_all(self, session: Session, drafts: Sequence[HostDraft]) -> list[Host]:
        """Add hosts that may jump over one another; raises Invalid with ``<row>.<field>`` for each fault."""
        faults: dict[str, str] = {}
        hosts = []
        for number, draft in enumerate(drafts):
            with _faults_of_row(faults, number):
                hosts.append(self.insert(session, replace(draft, jump=""), pin_first=False))
        if not faults:
            for number, (host, draft) in enumerate(zip(hosts, drafts, strict=True)):
                if draft.jump:
                    with _faults_of_row(faults, number):
                        host.jump = store.jump_host(session, draft.jump, for_id=host.id)
                        session.flush()
        if faults:
            raise Invalid(faults)
        return hosts

    def change(self, session: Session, host: Host, draft: HostDraft) -> list[str]:
        """Make a host as the draft says; returns the names of the secrets that changed.

        A worker with another address or token has to be joined again.
        """
        if draft.kind != host.kind:
            raise Invalid({"kind": "The kind of a host stays; remove it and add it anew."})
        store.check_free(session, draft.name, but=host.id)
        moved = any(getattr(host, name) != getattr(draft, name) for name in ("scheme", "address", "port"))
        host.name = draft.name
        for name in _PLAIN:
            setattr(host, name, getattr(draft, name))
        host.jump = store.jump_host(session, draft.jump, for_id=host.id) if draft.jump else None
        if draft.host_key and draft.host_key != host.host_key:
            host.host_key, host.seen_key, host.pin_first = draft.host_key, "", False
        store.put_tags(host, draft.tags)
        changed = sealing.store(self._vault, host, draft.secrets, draft.forget)
        if moved or "token" in changed:
            host.joined = False
        if "token" in draft.secrets and host.state == HostState.REVOKED:
            host.state, host.state_reason, host.state_since = HostState.UNKNOWN, "", self._clock.now()
        return changed


@contextmanager
def _faults_of_row(faults: dict[str, str], number: int) -> Iterator[None]:
    """Collect what is wrong with one row under its number."""
    try:
        yield
    except Invalid as error:
        faults.update({f"{number}.{field}": message for field, message in error.fields.items()})
    except Conflict as error:
        faults[f"{number}.name"] = error.message


def _check_new(session: Session, draft: HostDraft) -> None:
    store.check_free(session, draft.name)
    if draft.kind is HostKind.MASTER and (
        known := session.scalar(select(Host.name).where(Host.kind == HostKind.MASTER))
    ):
        message = f"This node is in the list already, as “{known}”."
        raise Conflict(message, errors={"kind": message})


def told(draft: HostDraft) -> dict[str, Any]:  # Any: JSON
    """Return what the history shows of a new host: everything but its secrets, whose names stand there."""
    facts = {
        "host": draft.name,
        "kind": draft.kind,
        "address": draft.address,
        "port": draft.port,
        "username": draft.username,
        "tags": list(draft.tags),
        "jump": draft.jump,
        "secrets": sorted(draft.secrets),
    }
    return {name: value for name, value in facts.items() if value}


def differences(record: HostRecord, draft: HostDraft) -> dict[str, Any]:  # Any: JSON
    """Return what an edit changes, as the history shows it: before and after, without secrets."""
    changed: dict[str, Any] = {}
    for name in ("name", "address", "port", "username", "jump", "use_agent", "scheme"):
        before, after = getattr(record, name), getattr(draft, name)
        if before != after:
            changed[name] = [before, after]
    if record.tags != draft.tags:
        changed["tags"] = [list(record.tags), list(draft.tags)]
    if draft.host_key and draft.host_key != record.host_key:
        changed["host_key"] = draft.host_key
    return changed
