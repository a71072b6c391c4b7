"""The hosts that a master has by itself: its own machine, and the worker started beside it."""

from dataclasses import replace
from itertools import count

from quarterdeck.core.actors import SYSTEM
from quarterdeck.hosts.addresses import read_worker_address
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import WORKER_PORT, HostKind, HostRecord
from quarterdeck.hosts.service import Hosts


def ensure_own_hosts(hosts: Hosts, *, worker_url: str = "", worker_bearer: str = "") -> None:
    """List the master and, when its URL is given, the local worker; safe to repeat at each start.

    They are found again by what they are, not by their names, which people may change. First contact
    is left to the watch over all hosts: the worker may still be starting.
    """
    known = hosts.list_hosts()
    if not any(host.kind is HostKind.MASTER for host in known):
        hosts.register(SYSTEM, HostDraft(_free_name("master", known), HostKind.MASTER))
    if worker_url:
        _ensure_worker(hosts, known, worker_url, worker_bearer)


def _ensure_worker(hosts: Hosts, known: list[HostRecord], url: str, bearer: str) -> None:
    secrets = {"token": bearer} if bearer else {}
    draft = HostDraft(_free_name("worker", known), HostKind.WORKER, address=url, secrets=secrets)
    place = read_worker_address(url, 0, WORKER_PORT)
    same = [host for host in known if (host.scheme, host.address, host.port) == place]
    if not same:
        hosts.register(SYSTEM, draft)
    elif bearer and hosts.worker_link(same[0]).bearer != bearer:
        hosts.change(SYSTEM, same[0].name, replace(draft, name=same[0].name, tags=same[0].tags))


def _free_name(wanted: str, known: list[HostRecord]) -> str:
    """Return the name, or with a number behind it when another host has it."""
    taken = {host.name.lower() for host in known}
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)
