"""Hosts: adding, editing, removing and testing them, and everything that others ask of the list."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from quarterdeck.access.grants import drop_grants_on, move_grants
from quarterdeck.access.permissions import Within
from quarterdeck.core.actors import Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Busy, Conflict, Invalid, QuarterdeckError, Unauthenticated
from quarterdeck.core.loop import Loop
from quarterdeck.core.security import token_digest
from quarterdeck.core.vault import Vault
from quarterdeck.history.service import History
from quarterdeck.hosts import store
from quarterdeck.hosts.bases import Bases
from quarterdeck.hosts.changes import Changes, Publish
from quarterdeck.hosts.contacts import Contacts
from quarterdeck.hosts.drafts import HostDraft, checked, checked_all, read_tags
from quarterdeck.hosts.host_keys import HostKey
from quarterdeck.hosts.invitations import Invitations
from quarterdeck.hosts.joining import Joining
from quarterdeck.hosts.line_relay import RelayTransport
from quarterdeck.hosts.line_transport import LineTransport
from quarterdeck.hosts.lines import Lines
from quarterdeck.hosts.links import Links
from quarterdeck.hosts.models import LINE, BaseRecord, HostKind, HostRecord, HostState, WorkerLink
from quarterdeck.hosts.probing import Probing, TestResult
from quarterdeck.hosts.reading import HostCounts, Hostlist
from quarterdeck.hosts.revoking import Revoking
from quarterdeck.hosts.rows import Rows, differences, told
from quarterdeck.hosts.silences import Silences
from quarterdeck.hosts.ssh import Reason, SshError, SshPool, SshTarget
from quarterdeck.hosts.store import HostQuery
from quarterdeck.hosts.trust import Trust
from quarterdeck.hosts.worker_calls import WorkerCalls

logger = logging.getLogger(__name__)

T = TypeVar("T")
_HOPS: Final = 5
"""A host and the four that it may be reached over: what a first contact waits for at most."""


class Hosts:
    """The verbs of hosts. Synchronous ones are for threads; ``async`` ones for the loop."""

    def __init__(
        self,
        db: Database,
        history: History,
        vault: Vault,
        clock: Clock,
        publish: Publish,
        pool: SshPool,
        loop: Loop,
        settings: Settings,
    ) -> None:
        self._db, self._history = db, history
        self._pool, self.loop, self._settings = pool, loop, settings
        self._noting: set[asyncio.Future[None]] = set()
        self._on_moved: Callable[[], None] = lambda: None
        self.lines = Lines(
            history,
            clock,
            admit=self._admit_line,
            holders=lambda digests: self.list.holders_of(digests),
            on_up=self._look_at,
            trusted_proxies=settings.trusted_proxies,
        )
        over_lines = LineTransport(self.lines, RelayTransport(settings.home, settings.bind.url))
        self.calls = WorkerCalls(over_lines)
        self.changes = Changes(publish, loop, clock)
        self.contacts = Contacts(db, history, clock, self.changes)
        self.silences = Silences(db, history, clock, self.changes)
        self.list = Hostlist(db, self.contacts, self.silences)
        self.links = Links(db, vault, settings, lines=over_lines)
        self._rows = Rows(vault, clock)
        self.invitations = Invitations(db, history, clock, settings, rows=self._rows, changes=self.changes)
        self.bases = Bases(db, history, vault, clock)
        self._trust = Trust(db, history, links=self.links, contacts=self.contacts, scan=pool.scan_host_key)
        self._joining = Joining(db, history, settings, calls=self.calls, contacts=self.contacts)
        self.revoking = Revoking(db, history, clock, calls=self.calls, links=self.links, changes=self.changes)
        self.probing = Probing(
            clock,
            links=self.links,
            contacts=self.contacts,
            trust=self._trust,
            joining=self._joining,
            calls=self.calls,
            pool=pool,
        )

    def tell_of_moved(self, call: Callable[[], None]) -> None:
        """Call this once a host has other tags or another name, or is gone: rights may hang on these."""
        self._on_moved = call

    # Reading

    def list_hosts(
        self,
        tags: Collection[str] = (),
        kinds: Collection[str] = (),
        q: str = "",
        *,
        states: Collection[str] = (),
        sort: str = "name",
        limit: int = 0,
        offset: int = 0,
        after: str = "",
        within: Within = None,
    ) -> list[HostRecord]:
        """Return the hosts that have all the tags and match; ``limit`` 0 means all."""
        return self.list.select(
            HostQuery(tuple(tags), tuple(kinds), tuple(states), q, sort, after, limit, offset, within)
        )

    def get(self, name: str) -> HostRecord:
        """Return the host of that name; raises NotFound."""
        return self.list.get(name)

    def resolve(
        self, names: Collection[str], tags: Collection[str], within: Within = None
    ) -> list[HostRecord]:
        """Return the hosts of these names and tags; raises Invalid for unknown ones and for none."""
        return self.list.resolve(names, tags, within)

    def jumping_over(self, host: HostRecord) -> list[str]:
        """Return the names of the hosts that are reached over this one."""
        with self._db.read() as session:
            return store.jumping_over(session, host.id)

    def counts(self, within: Within = None) -> HostCounts:
        """Count hosts by state and kind."""
        return self.list.counts(within)

    def ssh_target(self, host: HostRecord) -> SshTarget:
        """Return how to reach an SSH host; raises SshError while a key on the way has changed."""
        return self.links.ssh_target(host.id)

    def ssh_targets(self, host_ids: Collection[str]) -> dict[str, SshTarget | QuarterdeckError]:
        """Return for each of these hosts, by id, how to reach it or why it can't be."""
        return self.links.ssh_targets(host_ids)

    async def ready_target(self, host: HostRecord) -> SshTarget:
        """Return how to reach an SSH host, pinning its key first where that was left to first contact."""
        if host.pin_first:
            await self._trust.look(host.id)
        return await asyncio.to_thread(self.links.ssh_target, host.id)

    def worker_link(self, host: HostRecord) -> WorkerLink:
        """Return how to call a worker."""
        return self.links.worker_link(host.id)

    def worker_by_token(self, token: str) -> HostRecord | None:
        """Return the worker that this token was given to, or None."""
        return self.list.by_token_digest(token_digest(token))

    def base_for(self, url: str) -> BaseRecord | None:
        """Return the API base that an address lies under."""
        return self.bases.base_for(url)

    def bearer_of(self, base: BaseRecord) -> str:
        """Return the bearer of an API base, or an empty text."""
        return self.bases.bearer_of(base)

    # Contacts

    def note_contact(self, host_id: str, state: HostState, reason: str = "", version: str = "") -> None:
        """Take in what a contact with a host said; callable from any thread, not for the loop itself."""
        self.contacts.note(host_id, state, reason, version)

    def note_well(self, host_ids: Collection[str]) -> None:
        """Take in that all of these hosts, by id, answered; as ``note_contact`` for each, in one go."""
        self.contacts.note_well(host_ids)

    async def note_ssh_error(self, host_id: str, error: SshError) -> None:
        """Take in why a host could not be reached; a changed key is fetched so that it can be compared."""
        await self.probing.note_ssh_error(host_id, error)

    def key_changed(self, target: SshTarget, _shown: str) -> None:
        """Stop a host, or one that others are reached over, whose key was found changed; for the pool."""
        error = SshError(Reason.HOST_KEY_CHANGED, "")
        noting = asyncio.ensure_future(self.probing.note_ssh_error(target.host_id, error))
        self._noting.add(noting)
        noting.add_done_callback(self._noted)

    def _noted(self, noting: asyncio.Future[None]) -> None:
        self._noting.discard(noting)
        if not noting.cancelled() and (error := noting.exception()):
            logger.warning("a changed host key could not be looked at: %s", error)

    # Verbs

    def add_host(self, actor: Actor, draft: HostDraft, *, confirm_key: bool = True) -> HostRecord:
        """Add a host and make first contact; a host that is down is added all the same.

        The key of an SSH host waits for confirmation, or with ``confirm_key=False`` is pinned at first
        contact. Raises Invalid, and Conflict for a name in use. A worker that refuses the token is
        refused here.
        """
        record = self.register(actor, draft, confirm_key=confirm_key)
        self._make_contact(record)
        return self.list.get_by_id(record.id)

    def register(self, actor: Actor, draft: HostDraft, *, confirm_key: bool = True) -> HostRecord:
        """Add a host as ``add_host`` does, but leave the first contact to the watch over all hosts."""
        draft = checked(draft)
        with self._history.action(actor, "host.add", f"host:{draft.name}", detail=told(draft)):
            with self._db.write() as session:
                host = self._rows.insert(session, draft, pin_first=not confirm_key)
            self.changes.note([host.id])
        return self.list.get_by_id(host.id)

    def edit_host(self, actor: Actor, name: str, draft: HostDraft) -> HostRecord:
        """Change a host; secrets not given anew are kept. Raises NotFound, Invalid or Conflict.

        A host with another place or other secrets is tried again at once.
        """
        record, is_moved = self.change(actor, name, draft)
        if is_moved:
            self._drop_connections(record.id)
            self._make_contact(record)
        return self.list.get_by_id(record.id)

    def change(self, actor: Actor, name: str, draft: HostDraft) -> tuple[HostRecord, bool]:
        """Change a host as ``edit_host`` does, without contact; tells too whether contact is due."""
        before = self.get(name)
        draft = checked(_as_dialling(draft) if before.dials_in else draft)
        changed = differences(before, draft)
        detail = {"host": name, "changed": changed}
        with self._history.action(actor, "host.edit", f"host:{name}", detail=detail) as outcome:
            with self._db.write() as session:
                secrets = self._rows.change(session, store.find(session, name), draft)
                if draft.name != before.name:
                    move_grants(session, f"host:{before.name}", f"host:{draft.name}")
            outcome["secrets"] = secrets
            self.changes.note([before.id])
        if {"name", "tags"} & set(changed):
            self._on_moved()
        return self.list.get_by_id(before.id), bool(secrets or set(changed) - {"name", "tags"})

    def remove_host(self, actor: Actor, name: str) -> None:
        """Remove a host with its secrets and tokens. Raises NotFound, and Conflict while it is needed."""
        host = self.get(name)
        if host.kind is HostKind.MASTER:
            raise Conflict(f"{name} is this node itself and stays in the list.")
        detail = {"host": name, "place": host.place}
        with self._history.action(actor, "host.remove", f"host:{name}", detail=detail) as outcome:
            with self._db.write() as session:
                if over := store.jumping_over(session, host.id):
                    message = f"{name} can't be removed: {', '.join(over[:10])} jump over it."
                    raise Conflict(f"{message} Change or remove them first.", hosts=over)
                session.delete(store.find(session, name))
                outcome["grants"] = drop_grants_on(session, f"host:{name}")
            self.contacts.forget(host.id)
            self.changes.note([host.id])
        self._on_moved()
        self._drop_connections(host.id)

    def revoke_worker(self, actor: Actor, name: str) -> HostRecord:
        """Refuse a worker's token at once, end its orders, and tell it. Raises NotFound and Conflict.

        It stays in the list, and joins again once it is given a token anew.
        """
        host = self.get(name)
        detail = {"host": name, "place": host.place}
        with self._history.action(
            actor, "host.revoke", f"host:{name}", detail=detail, essential=True
        ) as outcome:
            link = self.revoking.begin(actor, host)
            outcome |= self._wait(self.revoking.finish(host, link))
        if not outcome["told"]:
            self.revoking.note_untold(host, outcome["reason"])
        return self.list.get_by_id(host.id)

    def set_tags(self, actor: Actor, name: str, tags: Sequence[str]) -> HostRecord:
        """Make the tags of a host exactly these. Raises NotFound or Invalid."""
        host = self.get(name)
        try:
            wanted = read_tags(tuple(tags))
        except ValueError as error:
            raise Invalid({"tags": str(error)}) from error
        detail = {"host": name, "tags": list(wanted), "before": list(host.tags)}
        with self._history.action(actor, "host.tag", f"host:{name}", detail=detail):
            with self._db.write() as session:
                store.put_tags(store.find(session, name), wanted)
            self.changes.note([host.id])
        self._on_moved()
        return self.get(name)

    def test_host(self, actor: Actor, name: str) -> TestResult:
        """Connect to a host now and say what came of it; a failure is a result, not an error."""
        host = self.get(name)
        with self._history.action(actor, "host.test", f"host:{name}", detail={"host": name}) as outcome:
            result = self._wait(self.probing.test(host))
            outcome["message"], outcome["reached"] = result.message, result.ok
        return result

    def scan_host(self, actor: Actor, name: str) -> HostKey:
        """Look at the key that an SSH host shows now; raises SshError."""
        host = self.get(name)
        if host.kind is not HostKind.SSH:
            raise Conflict(f"{name} is not reached over SSH and has no host key.")
        with self._history.action(actor, "host.scan", f"host:{name}", detail={"host": name}) as outcome:
            key = self._wait(self._trust.look(host.id))
            outcome["fingerprint"] = key.fingerprint
        return key

    def confirm_host_key(self, actor: Actor, name: str, fingerprint: str) -> HostRecord:
        """Pin the seen key of this fingerprint, or after a change the old one again, and make contact."""
        host_id = self._trust.confirm(actor, name, fingerprint)
        self._drop_connections(host_id)
        self._make_contact(self.list.get_by_id(host_id))
        return self.list.get_by_id(host_id)

    def import_hosts(self, actor: Actor, drafts: Sequence[HostDraft]) -> list[HostRecord]:
        """Add all hosts or none; raises Invalid with ``<row>.<field>`` for each fault.

        First contacts are left to the watch over all hosts; each key waits for confirmation.
        """
        drafts = checked_all(drafts)
        detail = {"hosts": [draft.name for draft in drafts]}
        with self._history.action(actor, "host.import", "hosts", detail=detail):
            with self._db.write() as session:
                hosts = self._rows.insert_all(session, drafts)
            self.changes.note(host.id for host in hosts)
        return self.list.by_names([draft.name for draft in drafts])

    def check_import(self, drafts: Sequence[HostDraft]) -> dict[str, str]:
        """Return the faults that importing these hosts would meet, and change nothing."""
        try:
            drafts = checked_all(drafts)
            with self._db.write() as session:
                self._rows.insert_all(session, drafts)
                session.rollback()
        except Invalid as error:
            return error.fields
        return {}

    async def close(self) -> None:
        """End every connection; call it on the loop."""
        await self.calls.close()
        await self._pool.close()

    # The way to the loop

    def _make_contact(self, host: HostRecord) -> None:
        """Try a host whose place or secrets are new; how it went stands in its state."""
        try:
            self._wait(self.probing.test(host))
        except Busy as error:
            logger.info("first contact with %s is left to the watch: %s", host.name, error.message)

    def _drop_connections(self, host_id: str) -> None:
        try:
            self._wait(self._let_go(host_id))
        except Busy as error:
            logger.info("no connection of %s is open here: %s", host_id, error.message)

    async def _let_go(self, host_id: str) -> None:
        self.lines.cut(host_id)
        await self._pool.forget(host_id)

    async def _look_at(self, host_id: str) -> None:
        await self.probing.test(await asyncio.to_thread(self.list.get_by_id, host_id))

    def _admit_line(self, bearer: str) -> HostRecord:
        """Return the worker that may keep a line open with this token; raises Unauthenticated or Conflict."""
        worker = self.worker_by_token(bearer)
        if worker is None:
            raise Unauthenticated("This token is not one of a worker here: it was removed or revoked.")
        if not worker.dials_in:
            raise Conflict(f"{worker.name} was added with an address; invite it to let it dial in.")
        return worker

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work, timeout_seconds=_HOPS * self._settings.ssh_connect_seconds)


def _as_dialling(draft: HostDraft) -> HostDraft:
    """Return a draft that keeps a worker dialling in; raises Invalid for an address or another token."""
    if draft.address:
        raise Invalid({"address": "This worker dials in and has no address. Remove it to add it with one."})
    if draft.secrets or draft.forget:
        raise Invalid({"token": "This worker made its tokens when it joined; invite it again to renew them."})
    return replace(draft, scheme=LINE)
