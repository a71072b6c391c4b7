"""Puts a simulated fleet into the list of hosts, and takes it out again; repeating either changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import Conflict
from quarterdeck.hosts.addresses import is_loopback
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind, HostRecord
from quarterdeck.hosts.service import Hosts
from quarterdeck.tasks.simulation.fleet import PREFIX, SimulatedHost
from quarterdeck.tasks.simulation.keys import FleetKeys

TAG: Final = "simulated"
USERNAME: Final = "demo"


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding a fleet: how many hosts are new, how many stood there already."""

    new: int
    known: int


def ssh_drafts(hosts: Sequence[SimulatedHost], keys: FleetKeys) -> list[HostDraft]:
    """Return the SSH hosts as they are listed: with the fleet's key, and pinned to their own."""
    secrets = {"private_key": keys.client_text}
    return [
        HostDraft(
            host.name,
            HostKind.SSH,
            address=host.address,
            port=host.port,
            username=USERNAME,
            tags=(TAG,),
            host_key=keys.line_of(host.number),
            secrets=secrets,
        )
        for host in hosts
    ]


def worker_drafts(hosts: Sequence[SimulatedHost], keys: FleetKeys) -> list[HostDraft]:
    """Return the workers as they are listed, with the bearer that they want."""
    return [
        HostDraft(
            host.name,
            HostKind.WORKER,
            address=f"http://{host.address}:{host.port}",
            tags=(TAG,),
            secrets={"token": keys.bearer},
        )
        for host in hosts
    ]


def add_fleet(hosts: Hosts, actor: Actor, drafts: Sequence[HostDraft]) -> Added:
    """List all hosts in one import. A simulated host of before at another place is replaced.

    Raises Conflict when a host that is not simulated has one of the names; then nothing is changed.
    """
    listed = {host.name: host for host in hosts.list_hosts()}
    before = [(draft, listed[draft.name]) for draft in drafts if draft.name in listed]
    if foreign := [host.name for _, host in before if not _is_simulated(host)]:
        raise Conflict(
            f"{', '.join(foreign[:5])} can't be added: hosts of your own have these names. Rename them first."
        )
    outdated = {host.name for draft, host in before if not _is_same(hosts, draft, host)}
    new = [draft for draft in drafts if draft.name not in listed or draft.name in outdated]
    for name in outdated:
        hosts.remove_host(actor, name)
    if new:
        hosts.import_hosts(actor, new)
    return Added(len(new), len(drafts) - len(new))


def remove_fleet(hosts: Hosts, actor: Actor) -> int:
    """Take every simulated host out of the list, of whichever fleet; returns how many there were."""
    simulated = [host for host in hosts.list_hosts(tags=(TAG,)) if _is_simulated(host)]
    for host in simulated:
        hosts.remove_host(actor, host.name)
    return len(simulated)


def _is_simulated(host: HostRecord) -> bool:
    """Tell whether a host is one of a fleet: a tag alone is anybody's to give."""
    return TAG in host.tags and host.name.startswith(PREFIX) and is_loopback(host.address)


def _is_same(hosts: Hosts, draft: HostDraft, host: HostRecord) -> bool:
    if draft.kind is not host.kind:
        return False
    if host.kind is HostKind.WORKER:
        link = hosts.worker_link(host)
        return (link.url, link.bearer) == (draft.address, draft.secrets["token"])
    wanted = (draft.address, draft.port, draft.username, draft.host_key)
    return wanted == (host.address, host.port, host.username, host.host_key) and "private_key" in host.stored
