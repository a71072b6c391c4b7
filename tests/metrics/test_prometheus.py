"""What Prometheus reads of a master, read back by its own library; and the example files of the docs."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from flask.testing import FlaskClient
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.bridge import Bridge
from quarterdeck.core.config import load_settings
from quarterdeck.core.web import provide
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind, HostState
from quarterdeck.master import create_app
from quarterdeck.master_parts import make_metrics
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.prometheus.hosts import render_hosts
from quarterdeck.protocol.samples import Facts, Frame, Interface, Mount, Temperature
from tests.access.factories import PASSWORD
from tests.cheap_parts import CheapParts
from tests.clocks import SetClock
from tests.metrics.machines import FACTS, GB, take

DOCS = Path(__file__).parents[2] / "docs/prometheus"
TOKEN = "Vq7Zx2Lm9Kt4Rb8Wn3Hd6Yc1"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Master:
    """A master's app on a home of its own, with hosts and their figures."""

    def __init__(self, home: Path) -> None:
        environment = {"QUARTERDECK_HOME": str(home), "QUARTERDECK_METRICS_TOKEN": TOKEN}
        self.clock = SetClock()
        self.parts = CheapParts(load_settings(environment), self.clock)
        self.app = create_app(self.parts)
        bridge = Bridge(lambda _environ, _start: [], threads=2, body_bytes=1000)
        provide(self.app, make_metrics(self.parts, bridge))
        self.client: FlaskClient = self.app.test_client()
        drafts = [
            HostDraft(name, HostKind.SSH, "192.0.2.7", username="root", port=9, tags=(tag,))
            for name, tag in (("web1", "web"), ("db1", "db"))
        ]
        self.parts.hosts.import_hosts(SYSTEM, drafts)
        for name in ("web1", "db1"):
            self.sample(name)

    @property
    def fleet(self) -> Fleet:
        return self.parts.fleet

    def id_of(self, name: str) -> str:
        return self.parts.hosts.get(name).id

    def sample(self, name: str, **values: float) -> None:
        self.fleet.take_facts(self.id_of(name), FACTS)
        take(self.fleet, self.id_of(name), at=self.clock.now().timestamp(), **values)

    def token(self, scope: str, **more: object) -> str:
        access = self.parts.access
        if not any(each.name == "vera" for each in access.list_people()):
            access.add_person(SYSTEM, "vera", role=Role.VIEWER, password=PASSWORD)
        made = access.create_token(SYSTEM, "vera", scope, scope, **more)  # type: ignore[arg-type]  # options
        return made.secret

    def read(self, path: str, bearer: str = TOKEN) -> TestResponse:
        return self.client.get(path, headers={"Authorization": f"Bearer {bearer}"} if bearer else {})


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    made = Master(tmp_path / "home")
    yield made
    made.parts.close()


def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def samples(text: str) -> Samples:
    """Return every sample; none may be there twice, nor a family."""
    found = families(text)
    assert len({family.name for family in found}) == len(found)
    every = [
        ((each.name, frozenset(each.labels.items())), each.value)
        for family in found
        for each in family.samples
    ]
    assert len(dict(every)) == len(every)
    return dict(every)


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def test_hosts_are_told_by_label_and_in_the_units_of_node_exporter(master: Master) -> None:
    answer = master.read("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    found = samples(answer.text)
    assert value(found, "node_load1", host="web1") == 0.42
    assert value(found, "node_memory_MemTotal_bytes", host="web1") == 16 * GB
    assert value(found, "node_memory_MemAvailable_bytes", host="web1") == 12 * GB
    assert value(found, "node_memory_SwapFree_bytes", host="web1") == 1.9 * GB
    root = {"host": "web1", "device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"}
    assert value(found, "node_filesystem_size_bytes", **root) == 100 * GB
    assert value(found, "node_filesystem_avail_bytes", **root) == 60 * GB
    assert value(found, "node_network_receive_bytes_total", host="web1", device="eth0") == 123_456
    assert value(found, "node_boot_time_seconds", host="web1") == FACTS.booted_at
    assert value(found, "quarterdeck_host_cpu_busy_ratio", host="web1") == 0.125
    assert value(found, "quarterdeck_host_core_busy_ratio", host="web1", cpu="2") == 0.2
    assert value(found, "quarterdeck_host_state", host="web1", state="unknown") == 1
    assert value(found, "quarterdeck_host_state", host="web1", state="well") == 0
    assert value(found, "quarterdeck_host_sample_age_seconds", host="db1") == 0


def test_the_master_tells_how_it_is_itself(master: Master) -> None:
    found = samples(master.read("/metrics").text)
    for name in (
        "quarterdeck_requests_in_flight", "quarterdeck_requests_waiting", "quarterdeck_sockets",
        "quarterdeck_runs_active", "quarterdeck_loop_lag_last_seconds", "process_resident_memory_bytes",
    ):  # fmt: skip
        assert value(found, name) is not None, name
    assert value(found, "quarterdeck_samples_taken_total") == 2
    assert value(found, "quarterdeck_hosts_sampled") == 2
    records = value(found, "quarterdeck_journal_records") or 0
    assert records >= 2
    assert value(found, "quarterdeck_journal_written_records_total") == records
    assert value(found, "quarterdeck_journal_bytes") == value(
        found, "quarterdeck_journal_written_bytes_total"
    )
    assert 0 < (value(found, "quarterdeck_journal_syncs_total") or 0) <= records
    assert value(found, "quarterdeck_journal_sync_seconds_total") is not None


def test_old_figures_are_absent_and_their_age_says_so(master: Master) -> None:
    master.clock.forward(seconds=61)
    master.sample("db1")
    found = samples(master.read("/metrics/hosts").text)
    assert value(found, "node_load1", host="db1") == 0.42
    assert value(found, "node_load1", host="web1") is None
    assert value(found, "quarterdeck_host_sample_age_seconds", host="web1") == 61


@pytest.mark.parametrize("state", [HostState.LOST, HostState.REVOKED])
def test_a_lost_host_has_no_figures(master: Master, state: HostState) -> None:
    master.parts.hosts.note_contact(master.id_of("web1"), state, "gone")
    found = samples(master.read("/metrics/hosts").text)
    assert value(found, "quarterdeck_host_state", host="web1", state=state) == 1
    assert value(found, "node_load1", host="web1") is None
    assert value(found, "node_load1", host="db1") == 0.42


def test_a_host_without_figures_has_its_state(master: Master) -> None:
    master.fleet.forget([master.id_of("web1")])
    found = samples(master.read("/metrics/hosts").text)
    assert {name for (name, labels) in found if ("host", "web1") in labels} == {"quarterdeck_host_state"}


def test_a_file_system_that_hangs_has_no_sizes(master: Master) -> None:
    at = master.clock.now().timestamp() + 1
    mounts = [Mount("/far", 9, 9, "nfs", "far:/", hangs=True)]
    master.fleet.take(master.id_of("web1"), Frame(at=at, is_full=True, mounts=mounts), at=at)
    found = samples(master.read("/metrics/hosts").text)
    far = {"host": "web1", "device": "far:/", "fstype": "nfs", "mountpoint": "/far"}
    assert value(found, "quarterdeck_host_filesystem_hangs", **far) == 1
    assert value(found, "node_filesystem_size_bytes", **far) is None


def test_hostile_names_stay_names(master: Master) -> None:
    evil = 'a"} 1\nevil_metric{x="\\'
    at = master.clock.now().timestamp() + 1
    frame = Frame(
        at=at,
        is_full=True,
        mounts=[Mount(evil, 3, 2, evil, evil)],
        interfaces=[Interface(evil, 1, 2)],
        temperatures=[Temperature(evil, 40), Temperature(evil, 41)],
    )
    master.fleet.take(master.id_of("web1"), frame, at=at)
    master.fleet.take_facts(master.id_of("web1"), Facts(hostname=evil, system=evil, kernel=evil))
    found = samples(master.read("/metrics/hosts").text)
    assert not [name for name, _ in found if name.startswith("evil")]
    sizes = {"host": "web1", "device": evil, "fstype": evil, "mountpoint": evil}
    assert value(found, "node_filesystem_size_bytes", **sizes) == 3
    warm = [found[key] for key in found if key[0] == "quarterdeck_host_temperature_celsius"]
    assert sorted(warm)[:2] == [40, 41]


def test_a_thousand_hosts_are_told(master: Master) -> None:
    record, fleet = master.parts.hosts.get("web1"), Fleet()
    records = [replace(record, id=f"h{number}", name=f"host{number}") for number in range(1000)]
    for each in records:
        fleet.take_facts(each.id, FACTS)
        take(fleet, each.id, at=master.clock.now().timestamp())
    found = samples(render_hosts(records, fleet, master.clock.now()).decode())
    assert len([name for name, _ in found if name == "node_load1"]) == 1000


def test_the_token_of_prometheus_opens_its_paths_and_nothing_else(master: Master) -> None:
    for path in ("/metrics", "/metrics/hosts"):
        assert master.read(path).status_code == 200
        assert master.read(path, TOKEN[:-1] + "2").status_code == 401
    for path in ("/api/v1/hosts", "/hosts", "/", "/api/v1/me", "/metrics/", "/live"):
        assert master.read(path).status_code in (401, 404), path
    assert master.client.post("/shutdown", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 401


def test_nobody_reads_it(master: Master) -> None:
    for path in ("/metrics", "/metrics/hosts"):
        assert master.read(path, "").status_code in (303, 401)


def test_each_reader_sees_the_hosts_that_it_may_read(master: Master) -> None:
    own_only = samples(master.read("/metrics", master.token("node:read")).text)
    assert value(own_only, "quarterdeck_sockets") == 0
    assert not [name for name, _ in own_only if name.startswith("quarterdeck_host_")]
    both = samples(master.read("/metrics", master.token("node:read hosts:read")).text)
    assert value(both, "node_load1", host="db1") == 0.42
    narrow = master.token("hosts:read", host_tags=["web"])
    assert master.read("/metrics", narrow).status_code == 403
    text = master.read("/metrics/hosts", narrow).text
    assert value(samples(text), "node_load1", host="web1") == 0.42
    assert "db1" not in text


NAME = re.compile(r"\b(?:quarterdeck|node|process|python)_\w+")


def test_every_figure_of_the_dashboard_file_is_told(master: Master) -> None:
    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    told = {name for name, _ in samples(master.read("/metrics").text)}
    # Nothing was observed yet, and the host has not been heard of.
    told |= {"quarterdeck_loop_lag_seconds_bucket", "quarterdeck_host_last_seen_seconds"}
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [each["query"] for each in dashboard["templating"]["list"]]
    used = {name for expression in expressions for name in NAME.findall(expression)}
    assert len(used) > 20
    assert used - told == set()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in dashboard["panels"])


def test_the_example_of_a_scrape_configuration_asks_what_there_is(master: Master) -> None:
    content = yaml.safe_load((DOCS / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = content["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["quarterdeck", "quarterdeck-workers"]
    for job in jobs:
        assert master.read(job["metrics_path"]).status_code == 200
        assert job["authorization"]["type"] == "Bearer"
    targets = [target for job in jobs for each in job["static_configs"] for target in each["targets"]]
    settings = load_settings({})
    assert targets == [str(settings.bind), str(settings.worker_bind)]


def test_every_name_in_the_docs_is_told(master: Master) -> None:
    page = (DOCS.parent / "prometheus.md").read_text(encoding="utf-8")
    told = {name for name, _ in samples(master.read("/metrics").text)}
    told |= {family.name for family in families(master.read("/metrics").text)}
    missing = {name for name in NAME.findall(page) if name not in told} - WORKERS_OWN
    assert missing == set()


WORKERS_OWN = {
    "quarterdeck_host_last_seen_seconds", "node_time_seconds", "node_exporter",
    "quarterdeck_orders_running", "quarterdeck_host_",
}  # fmt: skip
"""What a master's text does not hold here."""
