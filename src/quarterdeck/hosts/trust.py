"""Host keys: looked at, confirmed, pinned, and a hard stop when another one is shown."""

import asyncio
from collections.abc import Awaitable, Callable

from quarterdeck.core.actors import SYSTEM, Actor
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.history.service import History
from quarterdeck.hosts import store
from quarterdeck.hosts.contacts import Contacts
from quarterdeck.hosts.host_keys import HostKey, read_host_key
from quarterdeck.hosts.links import Links
from quarterdeck.hosts.models import Host, HostKind, HostState
from quarterdeck.hosts.ssh_errors import SshError
from quarterdeck.hosts.ssh_target import SshTarget

Scan = Callable[[SshTarget], Awaitable[HostKey]]


class Trust:
    """Decides which key a host may show. Pinning is an administrator's act, or first contact by the API."""

    def __init__(
        self, db: Database, history: History, *, links: Links, contacts: Contacts, scan: Scan
    ) -> None:
        self._db, self._history, self._links, self._contacts = db, history, links, contacts
        self._scan = scan

    async def look(self, host_id: str) -> HostKey:
        """Fetch the key that the host shows now and take it in; raises SshError."""
        target = await asyncio.to_thread(self._links.scan_target, host_id)
        try:
            key = await self._scan(target)
        except SshError as error:
            await asyncio.to_thread(self._note_failure, host_id, error)
            raise
        await asyncio.to_thread(self._take_in, host_id, key)
        return key

    def confirm(self, actor: Actor, name: str, fingerprint: str) -> str:
        """Pin the key of this fingerprint: the one that was seen, or, after a change, the old one again.

        Returns the host's id. Raises Conflict when no key was seen, Invalid when the fingerprint is of none.
        """
        with self._db.read() as session:
            host = store.find(session, name)
        wanted = _matching(host, fingerprint)
        detail = {"host": name, "fingerprint": wanted.fingerprint, "algorithm": wanted.algorithm}
        if host.host_key:
            detail["replaces"] = read_host_key(host.host_key).fingerprint
        with self._history.action(actor, "host.confirm_key", f"host:{name}", detail=detail):
            with self._db.write() as session:
                stored = store.find_by_id(session, host.id)
                _matching(stored, fingerprint)  # it may have shown yet another key since
                stored.host_key, stored.seen_key, stored.pin_first = wanted.line, "", False
            self._contacts.note(host.id, HostState.UNKNOWN)
        return host.id

    def _take_in(self, host_id: str, key: HostKey) -> None:
        with self._db.read() as session:
            host = store.find_by_id(session, host_id)
        if key.line in (host.host_key, host.seen_key):
            return
        if host.host_key:
            self._stop(host, key)
        elif host.pin_first:
            self._pin_first(host, key)
        else:
            self._store(host_id, seen_key=key.line)
            self._contacts.note(host_id, HostState(host.state), "The host key waits for confirmation.")

    def _stop(self, host: Host, key: HostKey) -> None:
        detail = {
            "host": host.name,
            "pinned": read_host_key(host.host_key).fingerprint,
            "shown": key.fingerprint,
            "algorithm": key.algorithm,
        }
        self._history.event(SYSTEM, "host.key_changed", f"host:{host.name}", detail=detail)
        self._store(host.id, seen_key=key.line)
        reason = "Shows another host key than the pinned one; an administrator must compare and confirm it."
        self._contacts.note(host.id, HostState.LOST, reason)

    def _pin_first(self, host: Host, key: HostKey) -> None:
        detail = {"host": host.name, "fingerprint": key.fingerprint, "algorithm": key.algorithm}
        self._history.event(SYSTEM, "host.key_pinned", f"host:{host.name}", detail=detail)
        self._store(host.id, host_key=key.line, pin_first=False)
        self._contacts.note(host.id, HostState.UNKNOWN)

    def _store(self, host_id: str, **columns: str | bool) -> None:
        with self._db.write() as session:
            host = store.find_by_id(session, host_id)
            for column, value in columns.items():
                setattr(host, column, value)

    def _note_failure(self, host_id: str, error: SshError) -> None:
        with self._db.read() as session:
            host = store.find_by_id(session, host_id)
        # A host that never answered stays unknown; one that did is lost.
        state = HostState.LOST if host.host_key else HostState.UNKNOWN
        self._contacts.note(host_id, state, error.message)


def _matching(host: Host, fingerprint: str) -> HostKey:
    """Return which of the host's keys has the fingerprint."""
    if host.kind != HostKind.SSH:
        raise Conflict(f"{host.name} is not reached over SSH and has no host key.")
    if not host.seen_key:
        state = "is pinned already" if host.host_key else "has not been seen yet; test the host first"
        raise Conflict(f"The key of {host.name} {state}.")
    for line in filter(None, (host.seen_key, host.host_key)):
        key = read_host_key(line)
        if key.fingerprint == fingerprint.strip():
            return key
    shown = read_host_key(host.seen_key).fingerprint
    raise Invalid({"fingerprint": f"The host shows {shown}, which is not the fingerprint given."})
