"""How to reach a host: its address with the secrets opened, for whoever connects."""

from sqlalchemy.orm import Session

from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Invalid
from quarterdeck.core.vault import Vault
from quarterdeck.hosts import sealing, store
from quarterdeck.hosts.models import Host, HostKind, HostRecord, KeyState, WorkerLink, record_of
from quarterdeck.hosts.ssh_errors import Reason, SshError
from quarterdeck.hosts.ssh_target import SshTarget


class Links:
    """Makes targets and links; what it returns holds secrets and is never shown or stored."""

    def __init__(self, db: Database, vault: Vault, settings: Settings) -> None:
        self._db, self._vault, self._settings = db, vault, settings

    def ssh_target(self, host_id: str) -> SshTarget:
        """Return how to reach an SSH host, with the hosts to jump over.

        Raises SshError when a key on the way has changed: no connection until it is confirmed.
        """
        with self._db.read() as session:
            host = store.find_by_id(session, host_id)
            if host.kind != HostKind.SSH:
                raise Invalid({"hosts": f"{host.name} is not reached over SSH."})
            _refuse_changed(host)
            return self._target(session, host)

    def scan_target(self, host_id: str) -> SshTarget:
        """Return how to look at a host's key, whatever is pinned for it."""
        with self._db.read() as session:
            return self._target(session, store.find_by_id(session, host_id))

    def seen_key(self, host_id: str) -> str:
        """Return the host key that waits for confirmation, or an empty text."""
        with self._db.read() as session:
            return store.find_by_id(session, host_id).seen_key

    def worker_link(self, host_id: str) -> WorkerLink:
        """Return how to call a worker."""
        with self._db.read() as session:
            return self._link(store.find_by_id(session, host_id))

    def worker_links(self) -> list[tuple[HostRecord, WorkerLink]]:
        """Return all workers with how to call them."""
        query = store.HostQuery(kinds=(HostKind.WORKER,))
        with self._db.read() as session:
            hosts = session.scalars(store.select_hosts(query)).all()
            return [(record_of(host), self._link(host)) for host in hosts]

    def _link(self, host: Host) -> WorkerLink:
        bearer = sealing.opened(self._vault, host, "token") or self._settings.master_bearer_token
        return WorkerLink(host.name, record_of(host).url, bearer)

    def _target(self, session: Session, host: Host) -> SshTarget:
        jump = None
        if host.jump_id:
            over = store.find_by_id(session, host.jump_id)
            _refuse_changed(over)
            jump = self._target(session, over)
        return SshTarget(
            host_id=host.id,
            name=host.name,
            address=host.address,
            port=host.port,
            username=host.username,
            private_key=sealing.opened(self._vault, host, "private_key"),
            passphrase=sealing.opened(self._vault, host, "passphrase"),
            password=sealing.opened(self._vault, host, "password"),
            use_agent=host.use_agent,
            host_key=host.host_key,
            jump=jump,
            connect_seconds=self._settings.ssh_connect_seconds,
        )


def _refuse_changed(host: Host) -> None:
    if host.key_state is KeyState.CHANGED:
        raise SshError(
            Reason.HOST_KEY_CHANGED,
            f"{host.name} showed another host key than the pinned one. Nothing runs there until an "
            f"administrator compares the keys and decides, at /hosts/{host.name}.",
        )
