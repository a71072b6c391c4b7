"""What Prometheus reads of a worker: its own machine, as node_exporter would tell it, and its own health."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
from flask import Blueprint, Response

from quarterdeck.core import exposition
from quarterdeck.core.bridge import Bridge
from quarterdeck.core.exposition import Exposition
from quarterdeck.core.lag import LoopLag
from quarterdeck.core.web import allow, part
from quarterdeck.history.service import History
from quarterdeck.metrics.prometheus.freshness import is_fresh
from quarterdeck.metrics.prometheus.machine import MachineFamilies
from quarterdeck.metrics.sampling.node_sampling import NodeSampling

blueprint = Blueprint("prometheus_worker", __name__)


@dataclass(slots=True)
class NodeHealth:
    """How the worker itself is; the bridge is there once there is a server around the app."""

    orders_running: Callable[[], int]
    now: Callable[[], float]
    """The machine's clock, in seconds since 1970."""
    lag: LoopLag = field(default_factory=LoopLag)
    bridge: Bridge | None = None


@blueprint.get("/metrics")
@allow("master.read")
def metrics() -> Response:
    """Answer the master, or whoever shows the token of ``QUARTERDECK_METRICS_TOKEN``."""
    text, health = Exposition(), part(NodeHealth)
    now = health.now()
    text.gauge("node_time_seconds", "The machine's clock, in seconds since 1970.").add(now)
    machine = part(NodeSampling).machine
    if machine is not None and is_fresh(machine, now):
        MachineFamilies(text).add(machine)
    _add_health(text, health)
    _add_journal(text, part(History))
    _add_process(text)
    return Response(text.render(), content_type=exposition.CONTENT_TYPE)


def _add_health(text: Exposition, health: NodeHealth) -> None:
    gauge = text.gauge
    gauge("quarterdeck_orders_running", "Orders of the master under way.").add(health.orders_running())
    gauge("quarterdeck_loop_lag_last_seconds", "How late the event loop was.").add(health.lag.seconds)
    if health.bridge is not None:
        gauge("quarterdeck_requests_in_flight", "Requests to the app.").add(health.bridge.in_flight)
        gauge("quarterdeck_requests_waiting", "Requests that wait for a thread.").add(health.bridge.waiting)


def _add_journal(text: Exposition, history: History) -> None:
    written, counter = history.written, text.counter
    text.gauge("quarterdeck_journal_records", "Lines of the history.").add(history.witness()[1])
    text.gauge("quarterdeck_journal_bytes", "Room that its lines take.").add(history.stored_bytes())
    counter("quarterdeck_journal_written_records_total", "Lines written.").add(written.records)
    counter("quarterdeck_journal_written_bytes_total", "Bytes written.").add(written.bytes)
    counter("quarterdeck_journal_syncs_total", "Times that the disk was waited for.").add(written.syncs)
    counter("quarterdeck_journal_sync_seconds_total", "Time waited for it.").add(written.sync_seconds)


def _add_process(text: Exposition) -> None:
    process = psutil.Process(os.getpid())
    with process.oneshot():
        times, memory = process.cpu_times(), process.memory_info()
        text.counter("process_cpu_seconds_total", "CPU time used.").add(times.user + times.system)
        text.gauge("process_resident_memory_bytes", "Memory in use.").add(memory.rss)
        text.gauge("process_virtual_memory_bytes", "Address space in use.").add(memory.vms)
        text.gauge("process_open_fds", "Open files and sockets.").add(process.num_fds())
        text.gauge("process_threads", "Threads.").add(threading.active_count())
        text.gauge("process_start_time_seconds", "When the process began.").add(process.create_time())
