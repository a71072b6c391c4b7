"""Reading over time: the right step for a range, memory and stored samples as one, gaps and peaks kept."""

from pathlib import Path

import pytest

from quarterdeck.core.errors import Invalid
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.kept.chunks import COARSE, FINE, HOUR, MEDIUM, Step
from quarterdeck.metrics.kept.keeper import DAY, Kept
from quarterdeck.metrics.kept.ranges import Span, read_span
from quarterdeck.metrics.kept.series import Series, SeriesReader, step_for
from quarterdeck.protocol.samples import Frame
from tests.metrics.factories import NOON, Kit, sqlite_kit


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return sqlite_kit(tmp_path)


class World:
    """A fleet whose samples are kept, and what reads them."""

    def __init__(self, kit: Kit) -> None:
        self.kit, self.fleet = kit, Fleet()
        self.start()

    def start(self) -> None:
        """Start the master anew: its memory is empty."""
        keeper = self.kit.restart()
        self.fleet = Fleet()
        self.fleet.listen(keeper.take)
        self.reader = SeriesReader(self.kit.database, self.kit.clock, self.fleet, keeper)

    def sample(self, cpu: float, *, interval: float = 15.0, host: str = "h1") -> None:
        frame = Frame(at=0, is_full=True, values={"cpu": cpu, "memory": 50.0})
        self.fleet.take(host, frame, at=self.kit.clock.at, interval_seconds=interval)

    def live(self, seconds: float, cpu: float = 1.0, interval: float = 15.0) -> None:
        for number in range(int(seconds // interval)):
            self.kit.clock.forward(interval)
            self.sample(cpu, interval=interval)
            if number % 20 == 19:
                self.kit.keeper.round()

    def read(self, seconds: float, points: int = 300) -> Series:
        now = self.kit.clock.at
        return self.reader.read("h1", ["cpu", "memory"], Span(now - seconds, now), points)


@pytest.fixture
def world(kit: Kit) -> World:
    return World(kit)


@pytest.mark.parametrize(
    ("length", "ago", "points", "step"),
    [
        (HOUR, 0, 300, FINE),
        (DAY, 0, 300, MEDIUM),
        (DAY, 0, 600, FINE),
        (7 * DAY, 0, 300, MEDIUM),
        (30 * DAY, 0, 300, COARSE),
        (30 * DAY, 0, 1_000, MEDIUM),
        (366 * DAY, 0, 300, COARSE),
        (HOUR, 3 * DAY, 300, MEDIUM),
        (HOUR, 60 * DAY, 300, COARSE),
        (HOUR, 900 * DAY, 300, COARSE),
    ],
)
def test_the_step_fits_the_range_and_its_age(length: float, ago: float, points: int, step: Step) -> None:
    span = Span(NOON - ago - length, NOON - ago)
    assert step_for(span, points, NOON, Kept()) is step


def test_ten_minutes_come_sample_by_sample(world: World) -> None:
    world.live(60, cpu=3.0, interval=1)
    series = world.read(600, points=700)
    assert series.step_seconds == 0
    assert series.figures["cpu"].mean[-60:] == [3.0] * 60
    assert series.times[-1] == world.kit.clock.at


def test_what_was_before_a_start_comes_from_what_is_stored(world: World) -> None:
    world.live(300, cpu=3.0)
    world.kit.keeper.round()
    world.start()
    world.live(120, cpu=8.0)
    cpu = world.read(600).figures["cpu"].mean
    assert {value for value in cpu if value is not None} == {3.0, 8.0}
    assert sum(value == 3.0 for value in cpu) >= 18


def test_silence_among_single_samples_is_a_gap(world: World) -> None:
    world.live(60)
    world.kit.clock.forward(120)
    world.live(60)
    series = world.read(600)
    gap = [at for at, value in zip(series.times, series.figures["cpu"].mean, strict=True) if value is None]
    assert any(NOON + 60 < at < NOON + 180 for at in gap)
    assert not any(at > NOON + 190 for at in gap)


def test_more_samples_than_points_are_thinned_with_their_peak(world: World) -> None:
    world.live(300, cpu=2.0, interval=1)
    world.kit.clock.forward(1)
    world.sample(97.0, interval=1)
    world.live(200, cpu=2.0, interval=1)
    series = world.read(600, points=60)
    assert len(series.times) <= 61
    assert max(value or 0 for value in series.figures["cpu"].most) == 97.0
    assert max(value or 0 for value in series.figures["cpu"].least) == 2.0


@pytest.mark.parametrize(("hours", "step"), [(1, 15), (20, 300)])
def test_memory_and_stored_samples_are_one_line(world: World, hours: int, step: int) -> None:
    world.live(3 * HOUR + 600, cpu=4.0)  # the last minutes are in memory alone
    world.kit.clock.forward(15)
    world.sample(9.0)
    series = world.read(hours * HOUR, points=240)
    cpu = series.figures["cpu"]
    assert series.step_seconds == step
    assert cpu.most[-2:].count(9.0) or cpu.most[-1] == 9.0
    filled = [value for value in cpu.mean if value is not None]
    assert len(filled) >= min(hours, 3) * HOUR // step - 1
    assert None not in cpu.mean[-min(hours, 3) * HOUR // step : -1]


def test_gaps_are_none_in_every_step(world: World) -> None:
    world.live(2 * HOUR)
    world.kit.clock.forward(3 * HOUR)
    world.live(2 * HOUR)
    for hours, points in ((7, 7 * 240), (7, 84), (200, 200)):
        series = world.read(hours * HOUR, points=points)
        silent = [
            value
            for at, value in zip(series.times, series.figures["cpu"].mean, strict=True)
            if at > NOON + 2 * HOUR and at + series.step_seconds < NOON + 5 * HOUR
        ]
        assert silent
        assert set(silent) == {None}


def test_thinning_keeps_least_and_most(world: World) -> None:
    world.live(2 * HOUR, cpu=10.0)
    world.kit.clock.forward(15)
    world.sample(99.5)
    world.live(2 * HOUR, cpu=10.0)
    series = world.read(4 * HOUR, points=80)
    cpu = series.figures["cpu"]
    assert series.step_seconds == 180
    assert max(value for value in cpu.most if value is not None) == 99.5
    assert not cpu.is_single
    assert max(value for value in cpu.mean if value is not None) < 20


def test_a_host_that_nobody_heard_of_has_an_empty_series(world: World) -> None:
    for seconds in (600, DAY, 366 * DAY):
        now = world.kit.clock.at
        series = world.reader.read("nobody", ["cpu"], Span(now - seconds, now), 100)
        assert series.is_empty
        assert len(series.figures["cpu"].mean) == len(series.times)


def test_points_for_a_trend_leave_gaps_out(world: World) -> None:
    world.live(HOUR, cpu=3.0)
    world.kit.clock.forward(HOUR)
    world.live(HOUR, cpu=5.0)
    points = world.reader.points_of("h1", "cpu", 6 * HOUR)
    assert [value for _, value in points] == [3.0] * 13 + [5.0] * (len(points) - 13)
    assert 24 <= len(points) <= 26


def test_the_last_figures_are_found_in_what_is_stored(world: World) -> None:
    assert world.reader.last("h1") is None
    world.live(600, cpu=6.5)
    world.kit.keeper.round()
    world.start()
    last = world.reader.last("h1")
    assert last is not None
    assert (last.values, last.at) == ({"cpu": 6.5, "memory": 50.0}, NOON + 600)
    world.kit.clock.forward(40 * HOUR)
    world.kit.keeper.round()
    last = world.reader.last("h1")
    assert last is not None
    assert last.values["cpu"] == 6.5


def test_several_hosts_share_their_steps(world: World) -> None:
    world.kit.hosts.add("h2")
    for _ in range(40):
        world.kit.clock.forward(15)
        world.sample(1.0)
        world.sample(2.0, host="h2")
    now = world.kit.clock.at
    found = world.reader.read_steps(["h1", "h2"], ["cpu"], Span(now - 600, now), 100)
    assert found["h1"].times == found["h2"].times
    assert {value for value in found["h2"].figures["cpu"].mean if value is not None} == {2.0}


@pytest.mark.parametrize(
    ("texts", "span"),
    [
        (("", "", ""), (NOON - 3_600, NOON)),
        (("7d", "", ""), (NOON - 7 * DAY, NOON)),
        (("90m", "", "1795300000"), (1_795_294_600, 1_795_300_000)),
        (("", "2026-11-22T11:00:00Z", ""), (NOON - 3_600, NOON)),
        (("", "2026-11-22T12:00:00+01:00", "2026-11-22T11:30"), (NOON - 3_600, NOON - 1_800)),
        (("", "2026-11-22T12:00:00 01:00", ""), (NOON - 3_600, NOON)),
        (("", "1795340000.5", ""), (1_795_340_000.5, NOON)),
    ],
)
def test_times_are_read(texts: tuple[str, str, str], span: tuple[float, float]) -> None:
    assert read_span(*texts, now=NOON) == Span(*span)


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        (("1", "", ""), "range"),
        (("0h", "", ""), "range"),
        (("9999999d", "", ""), "range"),
        (("99y", "", ""), "range"),
        (("1h", "2026-11-22", ""), "range"),
        (("", "yesterday", ""), "from"),
        (("", "2026-13-01", ""), "from"),
        (("", "99999999999", ""), "from"),
        (("", "1795348801", ""), "from"),
        (("", "0", ""), "from"),
        (("", "", "soon"), "to"),
    ],
)
def test_times_that_make_no_sense_say_what_to_write(texts: tuple[str, str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_span(*texts, now=NOON)
    assert list(caught.value.fields) == [field]
    assert len(caught.value.fields[field]) > 15
