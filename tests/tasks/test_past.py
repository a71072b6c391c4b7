"""What a task usually takes, host by host."""

from datetime import UTC, datetime, timedelta

import pytest

from quarterdeck.core.ids import new_id
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.past import usual_durations
from quarterdeck.tasks.states import RunState
from tests.tasks.conftest import Node

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def store_run(
    node: Node, hosts: dict[str, float], *, mark: str = "f", state: RunState = RunState.SUCCEEDED
) -> None:
    """Store a run that took so many seconds on each host."""
    run_id = new_id()
    with node.parts.db.write() as session:
        session.add(
            Run(
                id=run_id, kind="command", title="true", task={"kind": "command", "command": "true"},
                fingerprint=mark, state=str(state), is_active=False, is_recorded=True, tally={}, targets="",
                host_count=len(hosts), actor="oskar", created_at=NOW, timeout_seconds=60, request_id="-",
                intent_id="i",
            )
        )  # fmt: skip
        session.flush()
        for number, (host, seconds) in enumerate(hosts.items()):
            session.add(
                RunHost(
                    run_id=run_id, host_id=host, name=host, kind="ssh", position=number, fingerprint=mark,
                    state=str(state), message="", out_bytes=0, err_bytes=0, details={}, started_at=NOW,
                    finished_at=NOW + timedelta(seconds=seconds),
                )
            )  # fmt: skip


@pytest.mark.parametrize("count", [2, 30])
def test_each_host_has_its_own_past(node: Node, count: int) -> None:
    """A few hosts are read one by one, many by the latest runs."""
    hosts = [f"web{number}" for number in range(count)]
    for extra in (0, 2, 4):
        store_run(node, {host: 10 * number + extra for number, host in enumerate(hosts, start=1)})
    store_run(node, dict.fromkeys(hosts, 999), mark="another task")
    store_run(node, dict.fromkeys(hosts, 999), state=RunState.FAILED)
    usual = usual_durations(node.parts.db, "f", hosts)
    assert {host: each.typical_seconds for host, each in usual.items()} == {
        host: 10 * number + 2 for number, host in enumerate(hosts, start=1)
    }
    assert usual["web0"].p95_seconds == 14
    assert {each.runs for each in usual.values()} == {3}


@pytest.mark.parametrize("count", [2, 30])
def test_too_few_runs_say_nothing(node: Node, count: int) -> None:
    hosts = [f"web{number}" for number in range(count)]
    for _ in range(2):
        store_run(node, dict.fromkeys(hosts, 5.0))
    store_run(node, {"web0": 5})
    assert list(usual_durations(node.parts.db, "f", [*hosts, "unknown"])) == ["web0"]
    assert usual_durations(node.parts.db, "f", []) == {}
