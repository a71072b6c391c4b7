"""What the kernel counts since the start of the machine, and the shares and rates between two readings."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from quarterdeck.protocol.samples import Interface

MOST_INTERFACES: Final = 64
_CLASS_NET: Final = Path("/sys/class/net")
_BLOCK: Final = Path("/sys/block")
_HIDDEN: Final = re.compile(r"lo\d*$|veth|ifb|dummy")
_VIRTUAL: Final = re.compile(r"veth|docker|br-|virbr|cni|flannel|cali|vnet|tap|tun|wg|bond|team|dummy|ifb")
_STACKED: Final = re.compile(r"loop|ram|zram|dm-|md|sr|fd\d|nbd")
"""Devices whose traffic is that of others below them, or of no disk at all."""


@dataclass(frozen=True, slots=True)
class Processor:
    """Seconds that one logical processor, or all together, has spent; ``wait`` is idle for want of a disk."""

    total: float
    idle: float
    wait: float


@dataclass(frozen=True, slots=True)
class Counters:
    """One reading; ``at`` is monotonic, the others count bytes."""

    at: float
    cores: list[Processor]
    disk_read: int
    disk_written: int
    interfaces: dict[str, tuple[int, int]]
    """Bytes received and sent by name."""


def read_counters(at: float) -> Counters:
    """Read what the kernel counts; nothing here waits for a device."""
    read, written = _disks()
    return Counters(at, _cores(), read, written, _interfaces())


def busy_percent(before: Processor, after: Processor) -> float:
    """Return the share of the time between two readings that was spent working."""
    total = after.total - before.total
    if total <= 0:
        return 0.0
    return _share(total - (after.idle - before.idle) - (after.wait - before.wait), total)


def wait_percent(before: Processor, after: Processor) -> float:
    """Return the share that was spent idle while a program waited for a disk."""
    total = after.total - before.total
    return _share(after.wait - before.wait, total) if total > 0 else 0.0


def summed(cores: list[Processor]) -> Processor:
    """Return all processors as one."""
    return Processor(
        sum(core.total for core in cores), sum(core.idle for core in cores), sum(core.wait for core in cores)
    )


def rate(before: int, after: int, seconds: float) -> float:
    """Return units a second; 0 when the counter went back, as it does when a device is plugged in anew."""
    return (after - before) / seconds if after >= before and seconds > 0 else 0.0


def interfaces_between(before: Counters, after: Counters) -> list[Interface]:
    """Return the interfaces with their rates, by name."""
    seconds = after.at - before.at
    found = []
    for name, (received, sent) in sorted(after.interfaces.items()):
        was_received, was_sent = before.interfaces.get(name, (received, sent))
        found.append(
            Interface(
                name,
                received,
                sent,
                round(rate(was_received, received, seconds)),
                round(rate(was_sent, sent, seconds)),
            )
        )
    return found[:MOST_INTERFACES]


def outside(interfaces: list[Interface]) -> list[Interface]:
    """Return those that lead out of the machine: what goes over a bridge is not counted twice."""
    physical = [each for each in interfaces if (_CLASS_NET / each.name / "device").exists()]
    return physical or outside_by_name(interfaces)


def outside_by_name(interfaces: list[Interface]) -> list[Interface]:
    """Return those whose names are not of bridges, tunnels and the like, for a machine that is elsewhere."""
    return [each for each in interfaces if not _VIRTUAL.match(each.name)]


def _share(part: float, total: float) -> float:
    return min(100.0, max(0.0, 100 * part / total))


def _cores() -> list[Processor]:
    return [_processor(times._asdict()) for times in psutil.cpu_times(percpu=True)]


def _processor(times: Mapping[str, float]) -> Processor:
    # The time of guests is in that of user and nice already.
    total = sum(times.values()) - times.get("guest", 0) - times.get("guest_nice", 0)
    return Processor(total, times["idle"], times.get("iowait", 0))


def _disks() -> tuple[int, int]:
    try:
        disks = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    except (OSError, RuntimeError, ValueError):  # a container without /proc/diskstats
        return 0, 0
    names = _whole_disks() or disks.keys()
    whole = [use for name, use in disks.items() if name in names and not _STACKED.match(name)]
    return sum(use.read_bytes for use in whole), sum(use.write_bytes for use in whole)


def _whole_disks() -> set[str]:
    """Return the names of disks, without their parts; none where that can't be seen."""
    try:
        with os.scandir(_BLOCK) as entries:
            return {entry.name.replace("!", "/") for entry in entries}
    except OSError:
        return set()


def _interfaces() -> dict[str, tuple[int, int]]:
    counters = psutil.net_io_counters(pernic=True, nowrap=False) or {}
    return {
        name: (use.bytes_recv, use.bytes_sent) for name, use in counters.items() if not _HIDDEN.match(name)
    }
