"""The parts of a master that serves, and how they hang together."""

from functools import cached_property
from typing import Any

from quarterdeck.access.identify import Identify
from quarterdeck.access.judge import ObjectJudge
from quarterdeck.core.actors import SYSTEM, Actor, ActorKind, Role
from quarterdeck.core.asgi import Scope
from quarterdeck.core.bridge import Bridge
from quarterdeck.core.config import Surface
from quarterdeck.core.live.service import Live, LiveOptions
from quarterdeck.core.metrics import Metrics
from quarterdeck.core.peer import peer_of
from quarterdeck.core.stays import Stays
from quarterdeck.hosts.health import HealthWatch
from quarterdeck.metrics.alerts.service import Alerts
from quarterdeck.metrics.alerts.use import WINDOW_SECONDS
from quarterdeck.metrics.attention import Attention
from quarterdeck.metrics.dashboard.board import Board
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.host.top import TopProcesses
from quarterdeck.metrics.ingest import Ingest
from quarterdeck.metrics.kept.keeper import Keeper, Kept
from quarterdeck.metrics.kept.series import SeriesReader
from quarterdeck.metrics.overview.listing import FleetList
from quarterdeck.metrics.own_host import OwnHost
from quarterdeck.metrics.sampling.own import OwnMachine
from quarterdeck.metrics.sampling.processes import ProcessList
from quarterdeck.metrics.ssh.sampling import SshSampling
from quarterdeck.metrics.watching import Watching
from quarterdeck.parts import Parts
from quarterdeck.protocol.samples import Heartbeat


class MasterParts(Parts):
    """The parts of a master that serves: news reach the sockets, and sessions that end close them."""

    @cached_property
    def identify(self) -> Identify:
        return Identify(self.access, self._worker_actor)

    @cached_property
    def live(self) -> Live:
        options = LiveOptions(
            public_url=self.settings.public_url,
            trusted_proxies=self.settings.trusted_proxies,
            stock=self.settings.stock_socketio,
            has_console=self.serves(Surface.CONSOLE),
            is_public=self.serves(Surface.LIVE) and self.settings.live_public,
        )
        return Live(self._identify_scope, options)

    def serves(self, surface: Surface) -> bool:
        return surface in self.settings.surfaces

    @cached_property
    def stays(self) -> Stays:
        return Stays()

    @cached_property
    def watch(self) -> HealthWatch:
        return HealthWatch(
            self.hosts, self.history, self.clock, self.settings, publish=self.publish, announce=self._announce
        )

    def _note_heartbeat(self, host_id: str, beat: Heartbeat, received: float) -> None:
        self.watch.note_heartbeat(host_id, beat.version, beat.sent_at, received, beat.interval_seconds)

    @cached_property
    def fleet(self) -> Fleet:
        return Fleet()

    @cached_property
    def samples(self) -> Keeper:
        """What is kept of the figures; it takes down each sample from its making on."""
        known = self.hosts.list.addresses
        keeper = Keeper(self.db, self.clock, Kept.of(self.settings), known_hosts=known)
        self.fleet.listen(keeper.take)
        return keeper

    @cached_property
    def series(self) -> SeriesReader:
        return SeriesReader(self.db, self.clock, self.fleet, self.samples)

    @cached_property
    def processes(self) -> TopProcesses:
        return TopProcesses(self.hosts, ProcessList(self.clock).top)

    @cached_property
    def own_machine(self) -> OwnMachine:
        return OwnMachine(
            self.fleet,
            self.clock,
            lambda: self.own_host.id or None,
            idle_seconds=self.settings.sample_seconds,
        )

    @cached_property
    def attention(self) -> Attention:
        return Attention(
            self.hosts,
            self.clock,
            watch_own=self._watch_own,
            fleet=self.fleet,
            idle_seconds=self.settings.sample_seconds,
            watched_seconds=self.settings.watched_sample_seconds,
        )

    @cached_property
    def ssh_sampling(self) -> SshSampling:
        return SshSampling(
            self.hosts,
            self.pool,
            self.fleet,
            self.attention,
            self.clock,
            tag=self.settings.ssh_sample_tag,
        )

    def _watch_own(self, host_id: str, interval_seconds: float, for_seconds: float) -> None:
        """Sample a host often that this master samples itself: its own machine, or one over SSH."""
        self.own_machine.watch(host_id, interval_seconds, for_seconds)
        self.ssh_sampling.watch(host_id)

    @cached_property
    def ingest(self) -> Ingest:
        ingest = Ingest(
            self.hosts,
            self.history,
            self.fleet,
            self.attention,
            self.clock,
            on_bad_bearer=self.access.note_bad_bearer,
            trusted_proxies=self.settings.trusted_proxies,
        )
        ingest.on_heartbeat(self._note_heartbeat)
        return ingest

    @cached_property
    def fleet_list(self) -> FleetList:
        fleet_list = FleetList(self.hosts.list, self.fleet, self.clock)
        fleet_list.mark_by(lambda host: host.marks)
        return fleet_list

    @cached_property
    def watching(self) -> Watching:
        return Watching(
            self.live,
            self.fleet,
            self.clock,
            targets_of=self.hosts.list.targets_by_id,
            look=self.attention.look,
        )

    @cached_property
    def alerts(self) -> Alerts:
        return Alerts(
            self.db,
            self.history,
            self.clock,
            self.fleet,
            rules=self.rules,
            roll=self.hosts.list.roll,
            publish=self.publish,
            announce=self._announce,
            is_silenced=self.is_silenced,
            older_points=lambda host_id: self.series.points_of(host_id, "disk", WINDOW_SECONDS),
        )

    @cached_property
    def own_host(self) -> OwnHost:
        return OwnHost(self.hosts, self.clock)

    @cached_property
    def board(self) -> Board:
        return Board(
            self.live, self.fleet, self.clock, own_id=lambda: self.own_host.id, look=self.attention.look
        )

    @cached_property
    def judge(self) -> ObjectJudge:
        return ObjectJudge(
            {
                "host": self.hosts.list.targets,
                "run": self.runs.records.targets,
                "place": self.files.places.targets,
            }
        )

    def publish(self, event: str, data: dict[str, Any], *, room: str) -> None:
        self.live.publish(event, data, room=room)

    def is_watched(self, room: str) -> bool:
        return self.live.is_watched(room)

    def end_sockets(self, credential_ids: list[str]) -> None:
        for credential_id in credential_ids:
            self.live.disconnect_actor(credential_id)
        self.stays.end(credential_ids)

    def forget_removed(self) -> None:
        """Drop the figures of hosts that are no more."""
        self.fleet.forget(self.fleet.all().keys() - self.hosts.list.addresses().keys())

    def check_sockets(self) -> None:
        self.live.check_credentials()
        self.stays.check()

    def _announce(self, text: str, level: str, link: str) -> None:
        self.toasts.send(SYSTEM, text, level=level, role=Role.OPERATOR, link=link)

    def _worker_actor(self, bearer: str, address: str) -> Actor | None:
        worker = self.hosts.worker_by_token(bearer)
        return Actor(ActorKind.NODE, worker.name, address, credential_id=worker.id) if worker else None

    def _identify_scope(self, scope: Scope) -> Actor:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        peer = peer_of(scope, self.settings.trusted_proxies)
        return self.identify.identify_headers(headers, peer.address)


def make_metrics(parts: MasterParts, bridge: Bridge) -> Metrics:
    metrics, live, written = Metrics(), parts.live, parts.history.written
    gauge, counter = metrics.add_gauge, metrics.add_counter
    gauge("quarterdeck_requests_in_flight", "Requests to the app.", lambda: bridge.in_flight)
    gauge("quarterdeck_requests_waiting", "Requests that wait for a thread.", lambda: bridge.waiting)
    gauge("quarterdeck_runs_active", "Runs under way.", lambda: parts.runs.counts().active)
    gauge("quarterdeck_sockets", "Open sockets.", lambda: live.sockets)
    gauge("quarterdeck_live_viewers", "Viewers of the live page.", lambda: parts.board.viewers)
    gauge("quarterdeck_lines", "Workers that have dialled in.", lambda: len(parts.hosts.lines))
    counter("quarterdeck_heartbeats", "Of workers, taken.", lambda: parts.ingest.taken)
    counter("quarterdeck_heartbeats_refused", "Of workers.", lambda: parts.ingest.refused)
    gauge(
        "quarterdeck_addresses_known",
        "Addresses that limits of guessing remember.",
        lambda: parts.access.guessers_known() + parts.providers.guessers_known(),
    )
    gauge("quarterdeck_hosts_sampled", "Hosts of which figures are known.", lambda: len(parts.fleet.all()))
    gauge("quarterdeck_journal_records", "Lines of the history.", lambda: parts.history.witness()[1])
    gauge("quarterdeck_journal_bytes", "Room that its lines take.", parts.history.stored_bytes)
    counter("quarterdeck_journal_written_records", "Lines written.", lambda: written.records)
    counter("quarterdeck_journal_written_bytes", "Bytes written.", lambda: written.bytes)
    counter("quarterdeck_journal_syncs", "Times that the disk was waited for.", lambda: written.syncs)
    counter("quarterdeck_journal_sync_seconds", "Time waited for it.", lambda: written.sync_seconds)
    counter("quarterdeck_samples_taken", "Samples of hosts taken in.", lambda: parts.fleet.taken)
    keeper, counters = parts.samples, live.counters
    counter("quarterdeck_sample_chunks_written", "Pieces of kept samples.", lambda: keeper.chunks_written)
    counter("quarterdeck_sample_chunks_lost", "That could not be stored.", lambda: keeper.recorder.lost)
    counter("quarterdeck_sockets_refused", "By their Origin.", lambda: counters.refused)
    counter("quarterdeck_sockets_dropped", "Too slow to follow.", lambda: counters.dropped_peers)
    counter("quarterdeck_news", "Live news published.", lambda: counters.published)
    counter("quarterdeck_news_dropped", "More than could wait.", lambda: counters.dropped_news)
    return metrics
