"""The hosts that a master has by itself: its own machine, and the worker started beside it."""

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.config import Settings
from quarterdeck.core.security import token_file
from quarterdeck.hosts.addresses import read_worker_address
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import WORKER_PORT, HostKind, HostRecord, HostState
from quarterdeck.hosts.service import Hosts

OWN_TOKEN: Final = Path("keys") / "master-token"
"""Where a worker keeps, in its home, the bearer that it wants from its master."""


def ensure_own_hosts(hosts: Hosts, settings: Settings, *, own_worker: Path | None = None) -> None:
    """List the master and, when there is one, the worker beside it; safe to repeat at each start.

    ``own_worker`` is the home of the worker that ``quarterdeck up`` starts; that worker may still be
    starting, so whichever of the two comes first makes the token, and first contact is left to the watch
    over all hosts. Both are found again by what they are, not by their names, which people may change.
    """
    known = hosts.list_hosts()
    if not any(host.kind is HostKind.MASTER for host in known):
        hosts.register(SYSTEM, HostDraft(_free_name("master", known), HostKind.MASTER))
    if own_worker and own_worker.is_dir():
        bearer = settings.master_bearer_token or token_file(own_worker / OWN_TOKEN)
        _ensure_worker(hosts, known, settings.worker_bind.url, bearer)


def _ensure_worker(hosts: Hosts, known: list[HostRecord], url: str, bearer: str) -> None:
    draft = HostDraft(_free_name("worker", known), HostKind.WORKER, address=url, secrets={"token": bearer})
    place = read_worker_address(url, 0, WORKER_PORT)
    same = [host for host in known if (host.scheme, host.address, host.port) == place]
    if not same:
        hosts.register(SYSTEM, draft)
    elif same[0].state is not HostState.REVOKED and hosts.worker_link(same[0]).bearer != bearer:
        hosts.change(SYSTEM, same[0].name, replace(draft, name=same[0].name, tags=same[0].tags))


def _free_name(wanted: str, known: list[HostRecord]) -> str:
    """Return the name, or with a number behind it when another host has it."""
    taken = {host.name.lower() for host in known}
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)
