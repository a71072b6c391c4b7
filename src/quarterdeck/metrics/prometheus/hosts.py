"""The figures of hosts as one text for Prometheus, each under a label ``host``."""

from collections.abc import Iterable
from datetime import datetime

from quarterdeck.core.exposition import Exposition, labels
from quarterdeck.hosts.models import HostRecord, HostState
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.prometheus.freshness import is_fresh
from quarterdeck.metrics.prometheus.machine import MachineFamilies


def render_hosts(hosts: Iterable[HostRecord], fleet: Fleet, now: datetime) -> bytes:
    """Return the text: what is said of each host, and its figures unless they are old."""
    text, at = Exposition(), now.timestamp()
    state = text.gauge("quarterdeck_host_state", "Whether a host is in this state, 1 or 0.")
    seen = text.gauge("quarterdeck_host_last_seen_seconds", "How long ago a host last answered.")
    age = text.gauge("quarterdeck_host_sample_age_seconds", "How old the last figures of a host are.")
    interval = text.gauge("quarterdeck_host_sample_interval_seconds", "How often a host is sampled now.")
    machines = MachineFamilies(text)
    figures = fleet.all()
    for host in hosts:
        own = labels(host=host.name)
        for each in HostState:
            state.add(host.state is each, f'{own},state="{each}"')
        if host.last_seen:
            seen.add(max(0.0, round((now - host.last_seen).total_seconds(), 3)), own)
        known = figures.get(host.id)
        if known is None or not known.at:
            continue
        age.add(max(0.0, round(at - known.at, 3)), own)
        if is_fresh(known, at) and host.state not in (HostState.LOST, HostState.REVOKED):
            interval.add(known.interval_seconds, own)
            machines.add(known, host.name)
    return text.render()
