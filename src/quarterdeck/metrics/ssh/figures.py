"""What an SSH host says of its /proc, read strictly: a hostile host prints anything."""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from quarterdeck.metrics import cleaning
from quarterdeck.metrics.figures import BY_KEY
from quarterdeck.metrics.sampling.counters import (
    MOST_INTERFACES,
    Counters,
    Processor,
    busy_percent,
    interfaces_between,
    outside_by_name,
    rate,
    summed,
    wait_percent,
)
from quarterdeck.metrics.sampling.mounts import Place, real, used_percent
from quarterdeck.metrics.ssh.shell import Parts
from quarterdeck.protocol.samples import Facts, Frame, Mount

_MOST_CORES: Final = 1024
_SECTOR_BYTES: Final = 512
_CORE: Final = re.compile(r"cpu\d{1,4}((?: \d{1,20}){5,10})")
_MEMORY: Final = re.compile(r"(MemTotal|MemAvailable|MemFree|SwapTotal|SwapFree): +(\d{1,15}) kB")
_LOAD: Final = re.compile(r"(\d{1,6}\.\d{1,4}) ")
_DISK: Final = re.compile(r" *\d+ +\d+ (\S{1,40}) \d+ \d+ (\d{1,20}) \d+ \d+ \d+ (\d{1,20}) ")
_INTERFACE: Final = re.compile(r" *([^\s:]{1,40}): *(\d{1,20})(?: +\d{1,20}){7} +(\d{1,20})(?: |$)")
_ROOM: Final = re.compile(r"(\S.{0,290}?) +(\d{1,16}) +\d{1,16} +(\d{1,16}) +\d+% +(/.{0,290})")
_NO_DISK: Final = re.compile(r"(?:tmpfs|devtmpfs|udev|dev|shm|none|overlay|run|efivarfs)\Z|/dev/loop")
_PART: Final = re.compile(r"p?\d+\Z")
_STACKED: Final = re.compile(r"loop|ram|zram|dm-|md|sr|fd\d|nbd")
_NAMED: Final = re.compile(r'PRETTY_NAME="?([^"]{1,120})"?')
_MODEL: Final = re.compile(r"(?:model name|Hardware|cpu model)\s*: (.{1,120})")


class Said(NamedTuple):
    """One answer, as far as it could be read."""

    counters: Counters
    memory: dict[str, int]
    """Bytes, by the kernel's names."""
    load: float | None
    processes: int | None
    mounts: list[Mount] | None
    """None when they were not asked for."""


def read_answer(parts: Parts, at: float) -> Said | None:
    """Return what an answer says; None for a host that has no /proc of Linux."""
    cores = _cores(parts.get("stat", ()))
    memory = _memory(parts.get("meminfo", ()))
    if not cores or "MemTotal" not in memory:
        return None
    read, written = _disks(parts.get("diskstats", ()))
    counters = Counters(at, cores, read, written, _interfaces(parts.get("net/dev", ())))
    load = next((float(found[1]) for line in parts.get("loadavg", ()) if (found := _LOAD.match(line))), None)
    count = next((line for line in parts.get("processes", ()) if re.fullmatch(r"\d{1,8}", line)), None)
    mounts = _mounts(parts["df"]) if "df" in parts else None
    return Said(counters, memory, load, int(count) if count else None, mounts)


def frame_between(before: Said, after: Said, mounts: list[Mount], at: float) -> Frame:
    """Return a full frame of the time between two answers."""
    interfaces = interfaces_between(before.counters, after.counters)
    was, is_ = summed(before.counters.cores), summed(after.counters.cores)
    seconds = after.counters.at - before.counters.at
    way_out = outside_by_name(interfaces)
    values = {
        "cpu": busy_percent(was, is_),
        "cpu_wait": wait_percent(was, is_),
        "disk_read": rate(before.counters.disk_read, after.counters.disk_read, seconds),
        "disk_write": rate(before.counters.disk_written, after.counters.disk_written, seconds),
        "received": sum(each.received_rate for each in way_out),
        "sent": sum(each.sent_rate for each in way_out),
    } | _shares(after.memory)
    if after.load is not None:
        values["load"] = after.load
    if after.processes is not None:
        values["processes"] = after.processes
    if mounts:
        values["disk"] = max(used_percent(mount) for mount in mounts)
    pairs = zip(before.counters.cores, after.counters.cores, strict=False)
    return Frame(
        at=at,
        is_full=True,
        values=cleaning.figures((key, round(value, BY_KEY[key].decimals)) for key, value in values.items()),
        cores=[round(busy_percent(*pair)) for pair in pairs],
        mounts=mounts,
        interfaces=interfaces,
        temperatures=[],
    )


def read_facts(parts: Parts, said: Said, now: float) -> Facts:
    """Return what the host says of itself, within limits; ``now`` is seconds since 1970."""
    name, kernel, machine = [*parts.get("uname", ()), "", "", ""][:3]
    uptime = _first(re.compile(r"(\d{1,10})\.\d+ "), parts.get("uptime", ()))
    return cleaning.facts(
        Facts(
            hostname=name,
            system=_first(_NAMED, parts.get("os-release", ())),
            kernel=kernel,
            architecture=machine,
            processor=_first(_MODEL, parts.get("cpuinfo", ())),
            processors=len(said.counters.cores),
            memory_bytes=said.memory["MemTotal"],
            swap_bytes=said.memory.get("SwapTotal", 0),
            booted_at=round(now - int(uptime)) if uptime else 0.0,
        )
    )


def _shares(memory: dict[str, int]) -> dict[str, float]:
    total = memory["MemTotal"]
    available = memory.get("MemAvailable", memory.get("MemFree", total))
    values = {"memory": 100 * (total - available) / total if total else 0.0}
    if swap := memory.get("SwapTotal"):
        values["swap"] = 100 * (swap - memory.get("SwapFree", swap)) / swap
    return values


def _cores(lines: Iterable[str]) -> list[Processor]:
    cores = []
    for line in lines:
        if found := _CORE.fullmatch(line.rstrip()):
            ticks = [int(each) for each in found[1].split()]
            # Guests, the last two, are in the time of user and nice already.
            cores.append(Processor(float(sum(ticks[:8])), float(ticks[3]), float(ticks[4])))
    return cores[:_MOST_CORES]


def _memory(lines: Iterable[str]) -> dict[str, int]:
    found = (_MEMORY.fullmatch(line.rstrip()) for line in lines)
    return {each[1]: int(each[2]) * 1024 for each in found if each}


def _disks(lines: Iterable[str]) -> tuple[int, int]:
    """Return bytes read and written of all disks; parts of a disk that is listed too are not counted."""
    found = {each[1]: (int(each[2]), int(each[3])) for line in lines if (each := _DISK.match(line))}
    whole = [use for name, use in found.items() if not _STACKED.match(name) and not _is_part(name, found)]
    return sum(read for read, _ in whole) * _SECTOR_BYTES, sum(sent for _, sent in whole) * _SECTOR_BYTES


def _is_part(name: str, names: Iterable[str]) -> bool:
    return any(name != disk and name.startswith(disk) and _PART.match(name[len(disk) :]) for disk in names)


def _interfaces(lines: Iterable[str]) -> dict[str, tuple[int, int]]:
    found = (_INTERFACE.match(line) for line in lines)
    kept = {
        cleaning.text(each[1], 40): (int(each[2]), int(each[3])) for each in found if each and each[1] != "lo"
    }
    return dict(list(kept.items())[:MOST_INTERFACES])


def _mounts(lines: Iterable[str]) -> list[Mount]:
    sizes = {}
    places = []
    for line in lines:
        found = _ROOM.fullmatch(line)
        if found and int(found[2]) and (found[4] == "/" or not _NO_DISK.match(found[1])):
            place = Place(cleaning.text(found[4], 300), cleaning.text(found[1], 300), "")
            total = int(found[2]) * 1024
            sizes[place.path] = (total, min(total, int(found[3]) * 1024))
            places.append(place)
    return [Mount(place.path, *sizes[place.path], place.kind, place.device) for place in real(places)]


def _first(pattern: re.Pattern[str], lines: Iterable[str]) -> str:
    return next((found[1] for line in lines if (found := pattern.match(line))), "")
