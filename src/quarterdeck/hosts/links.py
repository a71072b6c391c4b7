"""How to reach a host: its address with the secrets opened, for whoever connects."""

from collections.abc import Collection
from typing import Any, Final

import httpx
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Invalid, NotFound, QuarterdeckError, Unreachable
from quarterdeck.core.vault import Vault
from quarterdeck.hosts import recording, sealing
from quarterdeck.hosts.line_transport import line_url
from quarterdeck.hosts.models import Host, HostKind, HostRecord, HostState, WorkerLink
from quarterdeck.hosts.ssh_errors import Reason, SshError
from quarterdeck.hosts.ssh_target import SshTarget

Columns = Any  # Any: a row of the columns below; the library's type of it names each by its place

# Columns and not a whole Host: this is read for each host of each run, and an entity costs thrice as much.
_COLUMNS: Final = select(
    Host.id,
    Host.name,
    Host.kind,
    Host.address,
    Host.port,
    Host.username,
    Host.private_key,
    Host.passphrase,
    Host.certificate,
    Host.password,
    Host.use_agent,
    Host.host_key,
    Host.seen_key,
    Host.jump_id,
)
_SELECT: Final = _COLUMNS.where(Host.id == bindparam("host_id"))
_SELECT_MANY: Final = _COLUMNS.where(Host.id.in_(bindparam("host_ids", expanding=True)))
_TOKENS: Final = select(Host.id, Host.token).where(Host.kind == HostKind.WORKER)


class Links:
    """Makes targets and links; what it returns holds secrets and is never shown or stored."""

    def __init__(
        self, db: Database, vault: Vault, settings: Settings, *, lines: httpx.AsyncBaseTransport
    ) -> None:
        self._db, self._vault, self._settings, self._lines = db, vault, settings, lines

    def ssh_target(self, host_id: str) -> SshTarget:
        """Return how to reach an SSH host, with the hosts to jump over.

        Raises SshError when a key on the way has changed: no connection until it is confirmed.
        """
        with self._db.read() as session:
            row = _row(session, host_id)
            _refuse_changed(row)
            return self._target(session, row)

    def ssh_targets(self, host_ids: Collection[str]) -> dict[str, SshTarget | QuarterdeckError]:
        """Return for each host how to reach it, or the error that ``ssh_target`` would raise; in one read."""
        with self._db.read() as session:
            rows = {row.id: row for row in session.execute(_SELECT_MANY, {"host_ids": list(host_ids)})}
            return {host_id: self._target_or_fault(session, rows.get(host_id)) for host_id in host_ids}

    def _target_or_fault(self, session: Session, row: Columns | None) -> SshTarget | QuarterdeckError:
        try:
            row = _checked(row)
            _refuse_changed(row)
            return self._target(session, row)
        except QuarterdeckError as error:
            return error

    def scan_target(self, host_id: str) -> SshTarget:
        """Return how to look at a host's key, whatever is pinned for it."""
        with self._db.read() as session:
            return self._target(session, _row(session, host_id))

    def seen_key(self, host_id: str) -> str:
        """Return the host key that waits for confirmation, or an empty text."""
        with self._db.read() as session:
            return str(_row(session, host_id).seen_key)

    def worker_link(self, host_id: str) -> WorkerLink:
        """Return how to call a worker; raises Unreachable for one that was revoked."""
        with self._db.read() as session:
            record = recording.one(session, Host.id == host_id, "This host has been removed.")
            if record.state is HostState.REVOKED:
                raise Unreachable(f"{record.name} was revoked; an administrator can give it a token anew.")
            return self._link(record, session.scalar(select(Host.token).where(Host.id == host_id)))

    def worker_links(self, records: Collection[HostRecord]) -> list[tuple[HostRecord, WorkerLink]]:
        """Return these workers with how to call them."""
        with self._db.read() as session:
            tokens = {row.id: row.token for row in session.execute(_TOKENS)}
        return [(record, self._link(record, tokens.get(record.id))) for record in records]

    def _link(self, record: HostRecord, token: bytes | None) -> WorkerLink:
        bearer = sealing.unsealed(self._vault, record.id, "token", token)
        if record.dials_in:
            return WorkerLink(record.name, line_url(record.id), bearer, self._lines)
        return WorkerLink(record.name, record.url, bearer or self._settings.master_bearer_token)

    def _target(self, session: Session, row: Columns) -> SshTarget:
        jump = None
        if row.jump_id:
            over = _row(session, row.jump_id)
            _refuse_changed(over)
            jump = self._target(session, over)
        return SshTarget(
            host_id=row.id,
            name=row.name,
            address=row.address,
            port=row.port,
            username=row.username,
            private_key=sealing.unsealed(self._vault, row.id, "private_key", row.private_key),
            passphrase=sealing.unsealed(self._vault, row.id, "passphrase", row.passphrase),
            certificate=sealing.unsealed(self._vault, row.id, "certificate", row.certificate),
            password=sealing.unsealed(self._vault, row.id, "password", row.password),
            use_agent=row.use_agent,
            host_key=row.host_key,
            jump=jump,
            connect_seconds=self._settings.ssh_connect_seconds,
        )


def _row(session: Session, host_id: str) -> Columns:
    """Return the columns of an SSH host; raises NotFound or Invalid."""
    return _checked(session.execute(_SELECT, {"host_id": host_id}).one_or_none())


def _checked(row: Columns | None) -> Columns:
    if row is None:
        raise NotFound("This host has been removed.")
    if row.kind != HostKind.SSH:
        raise Invalid({"hosts": f"{row.name} is not reached over SSH."})
    return row


def _refuse_changed(row: Columns) -> None:
    if row.host_key and row.seen_key:
        raise SshError(
            Reason.HOST_KEY_CHANGED,
            f"{row.name} showed another host key than the pinned one. Nothing runs there until an "
            f"administrator compares the keys and decides, at /hosts/{row.name}.",
        )
