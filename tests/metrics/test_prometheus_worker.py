"""What Prometheus reads of a worker: by the master's bearer or a token of its own, and within its memory."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.deck import wait_until
from tests.worker_node import WorkerNode

TOKEN = "Vq7Zx2Lm9Kt4Rb8Wn3Hd6Yc1"


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerNode]:
    home = tmp_path_factory.mktemp("worker") / "home"
    made = WorkerNode(home, QUARTERDECK_METRICS_TOKEN=TOKEN, QUARTERDECK_SAMPLE_SECONDS="1").start()
    yield made
    made.end()


def read(worker: WorkerNode, path: str = "/metrics", bearer: str = TOKEN) -> httpx.Response:
    return httpx.get(f"{worker.url}{path}", headers={"Authorization": f"Bearer {bearer}"}, timeout=20)


def figures(worker: WorkerNode) -> dict[str, float]:
    """Return the values without labels, by name."""
    families = list(text_string_to_metric_families(read(worker).text))
    assert len({family.name for family in families}) == len(families)
    return {each.name: each.value for family in families for each in family.samples if not each.labels}


def test_a_worker_tells_its_machine_and_itself(worker: WorkerNode) -> None:
    wait_until(lambda: "node_load1" in figures(worker), "the first sample")
    found = figures(worker)
    assert found["node_memory_MemTotal_bytes"] > found["node_memory_MemAvailable_bytes"] > 0
    assert found["node_time_seconds"] > found["node_boot_time_seconds"] > 1_000_000_000
    assert 0 <= found["quarterdeck_host_cpu_busy_ratio"] <= 1
    assert found["quarterdeck_orders_running"] == 0
    assert found["quarterdeck_requests_in_flight"] == 1
    assert found["quarterdeck_loop_lag_last_seconds"] >= 0
    assert found["process_resident_memory_bytes"] > 10_000_000
    assert found["quarterdeck_journal_records"] >= found["quarterdeck_journal_written_records_total"]
    text = read(worker).text
    assert 'node_filesystem_size_bytes{device="' in text
    assert 'node_network_receive_bytes_total{device="' in text
    assert "host=" not in text


def test_it_stays_within_its_memory(worker: WorkerNode) -> None:
    for _ in range(50):
        assert read(worker).status_code == 200
    assert figures(worker)["process_resident_memory_bytes"] < 60_000_000


def test_the_master_reads_it_too(worker: WorkerNode) -> None:
    bearer = (worker.home / "keys/master-token").read_text(encoding="utf-8").strip()
    assert read(worker, bearer=bearer).status_code == 200


def test_the_token_opens_nothing_else_and_no_other_opens_it(worker: WorkerNode) -> None:
    for path in ("/health", "/processes", "/history", "/metrics/hosts"):
        assert read(worker, path).status_code in (401, 403, 404), path
    assert (
        httpx.post(f"{worker.url}/sampling", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 401
    )
    assert read(worker, bearer=TOKEN[:-1] + "2").status_code == 401
    assert httpx.get(f"{worker.url}/metrics").status_code == 401


def test_without_the_setting_there_is_no_such_token(tmp_path: Path) -> None:
    worker = WorkerNode(tmp_path / "home").start()
    try:
        assert read(worker, bearer=TOKEN).status_code == 401
        assert read(worker, bearer="x").status_code == 401
    finally:
        worker.end()
