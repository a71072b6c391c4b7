"""The JSON API of a host's figures on the real master's app: values, gaps, CSV, what it refuses."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.metrics.factories import NOON
from tests.metrics.whole_master import Master


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    master = Master(tmp_path / "home")
    yield master
    master.close()


def test_figures_say_how_a_host_is_doing(master: Master) -> None:
    master.sample(12.34)
    master.clock.forward(3)
    found = master.api("h1/figures").get_json()
    assert found["values"] == {"cpu": 12.3, "memory": 40.0}
    assert (found["age_seconds"], found["interval_seconds"], found["state"]) == (3.0, 15.0, "unknown")
    assert found["mounts"][0]["available_bytes"] == 40
    assert found["interfaces"][0]["sent_rate"] == 2.5
    assert (found["facts"]["kernel"], found["cores"]) == ("6.1", [12.34, 12.34])


def test_a_host_that_was_never_heard_of_says_so(master: Master) -> None:
    found = master.api("h2/figures").get_json()
    assert (found["at"], found["age_seconds"], found["values"], found["facts"]) == (None, None, {}, None)


def test_samples_have_gaps_where_there_were_none(master: Master) -> None:
    master.live(600)
    master.clock.forward(600)
    master.live(600)
    found = master.api("h1/samples?figure=cpu,memory&figure=load&range=1h").get_json()
    assert list(found["figures"]) == ["cpu", "memory", "load"]
    cpu = found["figures"]["cpu"]
    assert (cpu["unit"], cpu["min"], found["step_seconds"]) == ("percent", None, 15)
    assert len(cpu["mean"]) == len(found["times"])
    by_time = dict(zip(found["times"], cpu["mean"], strict=True))
    assert (by_time[NOON + 300], by_time[NOON + 900], by_time[NOON + 1500]) == (5.0, None, 5.0)
    assert set(found["figures"]["load"]["mean"]) == {None}
    assert datetime.fromisoformat(found["to"]) == datetime.fromtimestamp(master.clock.at, UTC)


def test_a_step_of_several_samples_has_its_peak(master: Master) -> None:
    master.live(900)
    master.clock.forward(15)
    master.sample(90.0)
    master.live(900)
    cpu = master.api("h1/samples?figure=cpu&range=1h&points=20").get_json()["figures"]["cpu"]
    assert max(value for value in cpu["max"] if value is not None) == 90.0
    assert max(value for value in cpu["mean"] if value is not None) < 30


def test_csv_has_a_line_for_each_time(master: Master) -> None:
    master.live(120)
    answer = master.api("h1/samples?figure=cpu&range=5m&format=csv")
    assert answer.mimetype == "text/csv"
    assert "h1-samples.csv" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0] == ["time", "cpu_min", "cpu_mean", "cpu_max"]
    assert rows[-1] == ["2026-11-22T12:02:00+00:00", "5.0", "5.0", "5.0"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("figure=cpus", "figure"),
        ("range=ever", "range"),
        ("from=tomorrow", "from"),
        ("to=never", "to"),
        ("from=2026-11-22T13:00:00Z", "from"),
        ("range=1h&from=2026-11-22", "range"),
        ("points=0", "points"),
        ("points=5001", "points"),
        ("format=xml", "format"),
        ("colour=red", "colour"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(master: Master, query: str, field: str) -> None:
    answer = master.api(f"h1/samples?{query}")
    assert answer.status_code == 422
    assert len(answer.get_json(force=True)["errors"][field]) > 10


@pytest.mark.parametrize("path", ["figures", "samples"])
def test_only_who_may_read_the_host_is_told(master: Master, path: str) -> None:
    assert master.api(f"h1/{path}").status_code == 200
    assert master.api(f"h1/{path}", "").status_code == 401
    assert master.api(f"h2/{path}", "narrow").status_code == 200
    hidden, absent = master.api(f"h1/{path}", "narrow"), master.api(f"absent/{path}", "narrow")
    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert hidden.get_json(force=True)["detail"] == absent.get_json(force=True)["detail"]
