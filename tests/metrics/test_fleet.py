"""The figures of all hosts in memory: frames put together, and the last ten minutes."""

from quarterdeck.metrics.figures import FIGURES, KEYS
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.ring import KEPT_SECONDS, Ring
from quarterdeck.protocol.samples import Frame, Mount

ROOT = Mount("/", 100, 40)


def test_a_delta_changes_what_it_names_and_leaves_the_rest() -> None:
    fleet = Fleet()
    fleet.take("h1", Frame(at=1, is_full=True, values={"cpu": 10, "memory": 50}, mounts=[ROOT]), at=100)
    assert fleet.take("h1", Frame(at=2, values={"cpu": 20}), at=101)
    now = fleet.now("h1")
    assert now is not None
    assert (now.values, now.mounts, now.at) == ({"cpu": 20, "memory": 50}, [ROOT], 101)


def test_a_full_frame_drops_what_it_does_not_name() -> None:
    fleet = Fleet()
    fleet.take("h1", Frame(at=1, is_full=True, values={"cpu": 10, "swap": 3}, mounts=[ROOT]), at=100)
    fleet.take("h1", Frame(at=2, is_full=True, values={"cpu": 11}), at=101)
    now = fleet.now("h1")
    assert now is not None
    assert (now.values, now.mounts) == ({"cpu": 11}, [])


def test_a_delta_without_a_full_frame_before_it_is_refused() -> None:
    fleet = Fleet()
    assert not fleet.take("h1", Frame(at=1, values={"cpu": 10}), at=100)
    assert fleet.now("h1") is None


def test_an_unknown_figure_is_passed_over() -> None:
    fleet = Fleet()
    fleet.take("h1", Frame(at=1, is_full=True, values={"cpu": 1, "future": 2}), at=100)
    now = fleet.now("h1")
    assert now is not None
    assert now.values == {"cpu": 1}


def test_an_older_sample_changes_nothing() -> None:
    fleet = Fleet()
    fleet.take("h1", Frame(at=5, is_full=True, values={"cpu": 5}), at=100)
    fleet.take("h1", Frame(at=4, is_full=True, values={"cpu": 4}), at=99)
    now = fleet.now("h1")
    assert now is not None
    assert (now.values, len(now.ring)) == ({"cpu": 5}, 1)


def test_a_clock_that_was_set_back_begins_the_last_minutes_anew() -> None:
    fleet = Fleet()
    fleet.take("h1", Frame(at=5, is_full=True, values={"cpu": 5}), at=100_000)
    fleet.take("h1", Frame(at=6, values={"cpu": 6}), at=100_000 - KEPT_SECONDS - 1)
    now = fleet.now("h1")
    assert now is not None
    assert (now.values, now.at, len(now.ring)) == ({"cpu": 6}, 99_399, 1)


def test_listeners_are_told_of_each_sample() -> None:
    fleet, heard = Fleet(), []
    fleet.listen(lambda host, row: heard.append((host.host_id, row[KEYS.index("cpu")])))
    fleet.take("h1", Frame(at=1, is_full=True, values={"cpu": 10}), at=100)
    fleet.take("h1", Frame(at=2), at=101)
    assert heard == [("h1", 10), ("h1", 10)]


def test_a_removed_host_is_forgotten() -> None:
    fleet = Fleet()
    fleet.take("h1", Frame(at=1, is_full=True), at=100)
    fleet.forget(["h1", "never"])
    assert fleet.all() == {}


def test_the_ring_keeps_ten_minutes() -> None:
    ring = Ring()
    for second in range(2 * KEPT_SECONDS):
        ring.append(1000 + second, (float(second),) * len(FIGURES))
    samples = list(ring.since(1000 + 2 * KEPT_SECONDS - 3))
    assert [at for at, _ in samples] == [2198, 2199]
    assert samples[-1][1][0] == 1199
    assert KEPT_SECONDS <= len(ring) <= KEPT_SECONDS * 1.15
