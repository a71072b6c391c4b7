"""One sample of this machine: shares and rates between two readings, file systems that hang, facts."""

import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from quarterdeck.core.clock import SystemClock
from quarterdeck.metrics.figures import KEYS
from quarterdeck.metrics.sampling.counters import (
    Counters,
    Processor,
    busy_percent,
    interfaces_between,
    rate,
    read_counters,
    wait_percent,
)
from quarterdeck.metrics.sampling.facts import read_facts
from quarterdeck.metrics.sampling.mounts import Mounts, Place, real, used_percent
from quarterdeck.metrics.sampling.sampler import Sampler
from quarterdeck.metrics.sampling.temperatures import Temperatures
from quarterdeck.protocol.samples import Mount, Temperature
from tests.metrics.clocks import SetClock

DISK = Place("/", "/dev/vda", "ext4")
SHARE = Place("/share", "nas:/share", "nfs4")


def test_a_sample_of_this_machine_says_what_the_kernel_says() -> None:
    sampler = Sampler(SystemClock(), temperatures=Temperatures(list))
    frame = sampler.sample()
    assert frame.is_full
    assert set(frame.values) <= set(KEYS)
    memory = psutil.virtual_memory()
    assert frame.values["memory"] == pytest.approx(
        100 * (memory.total - memory.available) / memory.total, abs=2
    )
    assert frame.values["processes"] == pytest.approx(len(psutil.pids()), abs=30)
    assert frame.cores is not None
    assert len(frame.cores) == psutil.cpu_count()
    assert all(0 <= share <= 100 for share in frame.cores)
    assert abs(frame.at - time.time()) < 5
    assert frame.mounts
    assert frame.values["disk"] == pytest.approx(max(map(used_percent, frame.mounts)), abs=0.01)


def test_a_busy_processor_is_seen_and_the_sample_does_not_wait() -> None:
    sampler = Sampler(SystemClock(), temperatures=Temperatures(list))
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    began = time.process_time()
    frame = sampler.sample()
    assert frame.values["cpu"] > 100 / (psutil.cpu_count() or 1) / 4
    assert time.process_time() - began < 0.1


def test_shares_are_of_the_time_between_two_readings() -> None:
    before, after = Processor(100, 60, 10), Processor(110, 64, 12)
    assert busy_percent(before, after) == pytest.approx(40)
    assert wait_percent(before, after) == pytest.approx(20)
    assert busy_percent(before, before) == 0


def test_a_share_never_leaves_its_range_though_a_counter_goes_back() -> None:
    # Idle and iowait of Linux do go back, by a little.
    assert busy_percent(Processor(100, 60, 10), Processor(101, 59, 10)) == 100
    assert wait_percent(Processor(100, 60, 10), Processor(101, 61, 9)) == 0


def test_a_counter_that_went_back_makes_no_rate() -> None:
    assert rate(100, 300, 2) == 100
    assert rate(300, 100, 2) == 0
    assert rate(100, 300, 0) == 0


def test_interfaces_have_rates_and_a_new_one_has_none_yet() -> None:
    before = Counters(10, [], 0, 0, {"eth0": (1_000, 0)})
    after = Counters(12, [], 0, 0, {"eth0": (5_000, 100), "eth1": (9_000_000, 9_000_000)})
    rates = {each.name: (each.received_rate, each.sent_rate) for each in interfaces_between(before, after)}
    assert rates == {"eth0": (2_000, 50), "eth1": (0, 0)}


def test_loopback_is_not_an_interface_of_interest() -> None:
    assert "lo" not in read_counters(0).interfaces


def test_real_file_systems_are_disks_each_device_once() -> None:
    places = [
        Place("/proc", "proc", "proc"),
        Place("/snap/core/1", "/dev/loop0", "squashfs"),
        Place("/run", "tmpfs", "tmpfs"),
        Place("/var/lib/bound", "/dev/vda", "ext4"),
        SHARE,
        DISK,
    ]
    assert real(places) == [DISK, SHARE]


def test_the_root_of_a_container_counts() -> None:
    root, layer = Place("/", "overlay", "overlay"), Place("/var/lib/docker/x", "overlay", "overlay")
    assert real([layer, root]) == [root]


def test_room_that_only_root_may_use_is_not_free() -> None:
    assert used_percent(Mount("/", 1_000, 200)) == pytest.approx(80)
    assert used_percent(Mount("/", 0, 0)) == 0


@pytest.fixture
def server_is_back() -> Iterator[threading.Event]:
    """Set when a network file system's server answers again."""
    event = threading.Event()
    yield event
    event.set()


def test_a_hanging_mount_is_marked_and_holds_up_no_other(server_is_back: threading.Event) -> None:
    later = Place("/zz", "/dev/vdb", "xfs")

    def measure(path: str) -> tuple[int, int]:
        if path == "/share" and len(asked) > 3:
            server_is_back.wait(20)
        return sizes[path]

    asked: list[str] = []
    sizes = {"/": (100, 50), "/share": (1_000, 900), "/zz": (10, 5)}

    def noted(path: str) -> tuple[int, int]:
        asked.append(path)
        return measure(path)

    mounts = Mounts(lambda: [SHARE, DISK, later], noted, limit_seconds=0.1)
    assert [each.hangs for each in mounts.read()] == [False, False, False]
    hanging = mounts.read()
    assert [(each.path, each.hangs, each.total_bytes) for each in hanging] == [
        ("/", False, 100),
        ("/share", True, 1_000),
        ("/zz", False, 10),
    ]
    sizes["/zz"] = (10, 1)
    began = time.monotonic()
    assert [each.available_bytes for each in mounts.read()] == [50, 900, 1]
    assert time.monotonic() - began < 0.1
    assert asked.count("/share") == 2


def test_a_mount_that_answers_again_is_read_again(server_is_back: threading.Event) -> None:
    def measure(path: str) -> tuple[int, int]:
        server_is_back.wait(20)
        return (100, 10)

    mounts = Mounts(lambda: [SHARE], measure, limit_seconds=0.05)
    assert [(each.hangs, each.total_bytes) for each in mounts.read()] == [(True, 0)]
    server_is_back.set()
    for thread in threading.enumerate():
        if thread.name == "mounts":
            thread.join(5)
    assert [(each.hangs, each.available_bytes) for each in mounts.read()] == [(False, 10)]


def test_what_has_no_size_is_no_disk() -> None:
    assert Mounts(lambda: [DISK], lambda path: None).read() == []


def test_slow_sensors_hold_up_no_sample(server_is_back: threading.Event) -> None:
    def read() -> list[Temperature]:
        server_is_back.wait(20)
        return [Temperature("cpu", 41)]

    temperatures = Temperatures(read)
    assert temperatures.latest(0) == []
    assert temperatures.latest(100) == []
    server_is_back.set()
    for thread in threading.enumerate():
        if thread.name == "temperatures":
            thread.join(5)
    assert temperatures.latest(101) == [Temperature("cpu", 41)]


def test_the_hottest_sensor_is_a_figure() -> None:
    temperatures = Temperatures(lambda: [Temperature("cpu", 41), Temperature("disk", 52.25)])
    temperatures.latest(0)
    sampler = Sampler(SetClock(), temperatures=temperatures)
    for thread in threading.enumerate():
        if thread.name == "temperatures":
            thread.join(5)
    assert sampler.sample().values["temperature"] == 52.2


def test_facts_stay_equal_while_nothing_changes() -> None:
    facts = read_facts()
    assert facts.processors == psutil.cpu_count()
    assert facts.memory_bytes == psutil.virtual_memory().total
    assert facts.kernel
    assert "127.0.0.1" not in facts.addresses
    assert read_facts(facts) == facts
