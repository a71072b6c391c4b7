"""Hours that are over: rolled up once and rightly, whenever the master was started anew."""

from itertools import count
from math import fsum, isnan
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.metrics.kept import store
from quarterdeck.metrics.kept.chunks import COARSE, FINE, HOUR, MEDIUM, Step
from tests.metrics.factories import NOON, Kit, give, open_database, sqlite_kit

numbers = count()


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return sqlite_kit(tmp_path)


def stored(kit: Kit, step: Step, host: str = "h1", place: int = 0) -> dict[float, tuple[float, ...]]:
    """Return what is stored of a figure by the time of its step, without gaps."""
    steps = {}
    with kit.database.read() as session:
        starts = step.starts(NOON - 8 * 86_400, kit.clock.at)
        for (_, start), values in store.fetch(session, step, starts, [host]).items():
            for slot in range(step.slots):
                lines = tuple(values[line.start + slot] for line in step.columns(place))
                if not isnan(lines[0]):
                    steps[start + slot * step.seconds] = lines
    return dict(sorted(steps.items()))


def live(kit: Kit, seconds: float, *, value: float = 1.0) -> None:
    """Let time pass with a sample each 15 s and a round each minute."""
    for number in range(int(seconds // 15)):
        kit.clock.forward(15)
        give(kit.keeper, kit.clock.at, value)
        if number % 4 == 3:
            kit.keeper.round()


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.floats(0, 100, width=32) | st.none(), min_size=400, max_size=560),
    st.sets(st.integers(1, 559), max_size=6),
    st.sets(st.integers(1, 559), max_size=3),
)
def test_over_restarts_at_any_point_each_hour_says_what_its_samples_said(
    tmp_path_factory: pytest.TempPathFactory,
    samples: list[float | None],
    restarts: set[int],
    crashes: set[int],
) -> None:
    folder = tmp_path_factory.mktemp("rollup")
    kit, expected, unsaved = sqlite_kit(folder), dict[float, float](), dict[float, float]()
    for number, value in enumerate(samples):
        kit.clock.put(NOON + 15 * number)
        if value is not None:
            give(kit.keeper, kit.clock.at, value)
            unsaved[kit.clock.at] = value
        if number % 4 == 3 or number in restarts:  # an orderly end saves, too
            kit.keeper.round()
            expected |= unsaved
            unsaved = {}
        if number in restarts or number in crashes:
            kit.restart()
            unsaved = {}
    kit.keeper.round()
    expected |= unsaved
    kit.clock.forward(2 * HOUR)
    kit.keeper.round()
    kit.keeper.round()
    for step in (MEDIUM, COARSE):
        _check(stored(kit, step), expected, step)
    kit.database.close()


def _check(found: dict[float, tuple[float, ...]], samples: dict[float, float], step: Step) -> None:
    by_step: dict[float, list[float]] = {}
    for at, value in samples.items():
        by_step.setdefault(at // step.seconds * step.seconds, []).append(value)
    assert list(found) == sorted(by_step)
    for at, values in by_step.items():
        wanted = (min(values), fsum(values) / len(values), max(values))
        assert found[at] == pytest.approx(wanted, rel=1e-4, abs=1e-30)


def test_an_hour_under_way_is_not_rolled_up(kit: Kit) -> None:
    live(kit, HOUR - 15)
    assert stored(kit, COARSE) == {}
    live(kit, 300)
    assert list(stored(kit, COARSE)) == [NOON]


def test_a_late_sample_has_its_hour_rolled_up_again(kit: Kit) -> None:
    live(kit, HOUR + 600)
    kit.restart()
    give(kit.keeper, NOON + 1800, 50.0)
    kit.keeper.round()
    assert stored(kit, COARSE)[NOON][2] == 50.0
    assert stored(kit, MEDIUM)[NOON + 1800][2] == 50.0
    assert stored(kit, MEDIUM)[NOON + 1800][0] == 1.0, "what was there already counts, too"


def test_what_is_too_late_to_be_rolled_up_is_passed_over(kit: Kit) -> None:
    live(kit, 60)
    give(kit.keeper, kit.clock.at - 23 * HOUR, 99.0)
    kit.keeper.round()
    assert 99.0 not in {lines[0] for lines in stored(kit, FINE).values()}


def test_hours_that_a_stopped_master_left_are_rolled_up_before_they_are_dropped(kit: Kit) -> None:
    live(kit, HOUR + 30)
    kit.keeper.round()
    kit.clock.forward(40 * HOUR)
    kit.restart()
    kit.keeper.round()
    assert list(stored(kit, COARSE)) == [NOON, NOON + HOUR]
    assert stored(kit, FINE) == {}


def test_a_clock_set_back_and_right_again_leaves_good_samples(kit: Kit) -> None:
    live(kit, 1800, value=1.0)
    kit.clock.at -= 900
    kit.restart()  # the fleet's own memory would pass them over
    live(kit, 900, value=5.0)
    assert set(stored(kit, FINE)) == {NOON + 15 * step for step in range(1, 121)}
    assert stored(kit, FINE)[NOON + 1500] == (5.0,)
    assert stored(kit, FINE)[NOON + 300] == (1.0,)


def test_a_clock_that_jumps_ahead_drops_nothing_for_an_hour(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    live(kit, 2 * HOUR)
    kit.clock.at += 400 * 86_400
    kit.keeper.round()
    assert "the clock has jumped" in caplog.text
    kit.clock.at -= 400 * 86_400
    kit.keeper.round()
    assert len(stored(kit, FINE)) == 480


def test_steps_are_dropped_after_their_time(kit: Kit) -> None:
    live(kit, HOUR + 300)
    for days, left in ((0, (True, True, True)), (2, (False, True, True)), (33, (False, False, True))):
        kit.clock.forward(days * 86_400)
        kit.keeper.round()
        assert tuple(bool(stored_at(kit, step)) for step in (FINE, MEDIUM, COARSE)) == left
    kit.clock.forward(375 * 86_400)
    kit.keeper.round()
    assert not stored_at(kit, COARSE)


def stored_at(kit: Kit, step: Step) -> int | None:
    with kit.database.read() as session:
        return store.oldest(session, step)


def test_chunks_of_a_removed_host_go(kit: Kit) -> None:
    kit.hosts.add("h2")
    give(kit.keeper, kit.clock.at, 1.0)
    give(kit.keeper, kit.clock.at, 1.0, host="h2")
    kit.keeper.round()
    kit.hosts.remove("h1")
    give(kit.keeper, kit.clock.at + 15, 1.0)  # still on its way
    kit.keeper.round()
    with kit.database.read() as session:
        assert store.host_ids(session) == {"h2"}
    assert kit.keeper.recorder.host_ids() == {"h2"}


def test_freed_pages_are_used_again(tmp_path: Path) -> None:
    kit = sqlite_kit(tmp_path)
    path, sizes = tmp_path / "samples.db", []
    for _ in range(8):
        for _hour in range(24):
            for number in range(0, HOUR, 60):
                give(kit.keeper, kit.clock.at + number, float(number % 97), interval=60)
            kit.clock.forward(HOUR)
            kit.keeper.round()
        with kit.database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        sizes.append(path.stat().st_size)
    assert sizes[-1] - sizes[-2] < 0.1 * sizes[-1], sizes


def test_a_locked_database_is_told_once_and_tried_again(
    kit: Kit, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    live(kit, 60)
    other = open_database(f"sqlite:///{tmp_path}/samples.db")
    with kit.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=10")
    with other.write():
        for _ in range(3):
            give(kit.keeper, kit.clock.at + 15, 7.0)
            kit.clock.forward(15)
            _impatient(kit)
    assert caplog.text.count("samples can't be stored") == 1
    kit.keeper.round()
    assert "samples are stored again" not in [
        record.message for record in caplog.records if record.levelno > 30
    ]
    assert list(stored(kit, FINE).values())[-3:] == [(7.0,)] * 3
    other.close()


def _impatient(kit: Kit) -> None:
    """Do a round that does not wait ten seconds for the lock."""
    with kit.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=10")
    kit.keeper.round()
