"""The tasks that every node knows by itself: questions about its machine, answered without a shell."""

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import psutil

from quarterdeck.core.errors import Invalid
from quarterdeck.protocol.tasks import Builtin, BuiltinTask

_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a built-in task found: text for people, the same as figures for programs."""

    text: str
    details: Mapping[str, Any] = field(default_factory=dict)  # Any: what JSON can hold


@dataclass(frozen=True, slots=True)
class Argument:
    """A whole number that a built-in task takes."""

    name: str
    title: str
    default: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class BuiltinSpec:
    """A built-in task as forms show it; ``answer`` may block and is run in a thread."""

    title: str
    about: str
    answer: Callable[[Mapping[str, int]], Answer]
    arguments: tuple[Argument, ...] = ()


def run_builtin(task: BuiltinTask) -> Answer:
    """Answer a built-in task; raises Invalid for arguments that it does not take."""
    return BUILTINS[task.name].answer(checked_arguments(task.name, task.arguments))


def checked_arguments(name: Builtin, arguments: Mapping[str, str]) -> dict[str, int]:
    """Return the arguments as numbers, defaults filled in; raises Invalid naming each bad one."""
    known = {argument.name: argument for argument in BUILTINS[name].arguments}
    faults = {
        f"arguments.{given}": f"{name} takes no argument “{given[:40]}”."
        for given in arguments
        if given not in known
    }
    values = {}
    for argument in known.values():
        text = arguments.get(argument.name) or str(argument.default)
        if not (text.isascii() and text.isdecimal() and argument.least <= int(text[:9]) <= argument.most):
            faults[f"arguments.{argument.name}"] = (
                f"{argument.title} must be a whole number from {argument.least} to {argument.most}."
            )
            continue
        values[argument.name] = int(text)
    if faults:
        raise Invalid(faults)
    return values


def _root_folders(_: Mapping[str, int]) -> Answer:
    folders, links = [], []
    with os.scandir("/") as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif entry.is_dir():
                links.append(entry.name)
    lines = [f"{len(folders)} folders in /", *(f"  {name}" for name in sorted(folders))]
    if links:
        lines += [f"and {len(links)} links to folders"]
        lines += [f"  {name} -> {Path('/', name).readlink()}" for name in sorted(links)]
    return Answer(_joined(lines), {"folders": len(folders), "names": sorted(folders), "links": sorted(links)})


def _disk_use(_: Mapping[str, int]) -> Answer:
    usage = shutil.disk_usage("/")
    files = os.statvfs("/")
    percent = 100 * usage.used / (usage.used + usage.free) if usage.used + usage.free else 0.0
    rows = [
        ("size", _size(usage.total)),
        ("used", f"{_size(usage.used)}  {percent:.1f} %"),
        ("available", _size(usage.free)),
    ]
    if files.f_files:
        rows.append(("files", f"{files.f_files - files.f_ffree:,} of {files.f_files:,}"))
    details = {
        "path": "/",
        "total_bytes": usage.total,
        "used_bytes": usage.used,
        "free_bytes": usage.free,
        "used_percent": round(percent, 1),
    }
    return Answer(_joined(["disk use of /", *_aligned(rows)]), details)


def _uptime(_: Mapping[str, int]) -> Answer:
    seconds = int(time.time() - psutil.boot_time())
    load = [round(value, 2) for value in psutil.getloadavg()]
    processors = psutil.cpu_count() or 1
    rows = [
        ("up for", _duration(seconds)),
        ("load", f"{load[0]:.2f}  {load[1]:.2f}  {load[2]:.2f}  (1, 5 and 15 minutes)"),
        ("processors", str(processors)),
    ]
    return Answer(
        _joined(_aligned(rows)), {"uptime_seconds": seconds, "load": load, "processors": processors}
    )


def _top_memory(arguments: Mapping[str, int]) -> Answer:
    processes = []
    for process in psutil.process_iter(["pid", "name", "username", "memory_info"]):
        if memory := process.info["memory_info"]:
            processes.append((memory.rss, process.info))
    processes.sort(key=lambda item: (-item[0], item[1]["pid"]))
    top = [
        {"pid": facts["pid"], "name": facts["name"] or "?", "user": facts["username"] or "?", "bytes": rss}
        for rss, facts in processes[: arguments["count"]]
    ]
    lines = [f"{'memory':>12} {'pid':>8}  {'user':<14} name"]
    lines += [f"{_size(row['bytes']):>12} {row['pid']:>8}  {row['user']:<14} {row['name']}" for row in top]
    return Answer(_joined(lines), {"processes": top, "count": len(processes)})


def _joined(lines: Iterable[str]) -> str:
    """Put the lines together; names of files and processes may hold anything but UTF-8 comes out."""
    return "".join(f"{line}\n" for line in lines).encode(errors="replace").decode()


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {name:<12}{value}" for name, value in rows]


def _size(count: int) -> str:
    if count >= 1024 * _MEBIBYTE:
        return f"{count / (1024 * _MEBIBYTE):,.1f} GiB"
    return f"{count / _MEBIBYTE:,.1f} MiB"


def _duration(seconds: int) -> str:
    days, rest = divmod(seconds, 86400)
    hours, minutes = rest // 3600, rest % 3600 // 60
    return f"{days} d {hours} h {minutes} min" if days else f"{hours} h {minutes} min"


BUILTINS: Final[Mapping[Builtin, BuiltinSpec]] = MappingProxyType(
    {
        Builtin.ROOT_FOLDERS: BuiltinSpec(
            "Folders in /", "How many folders there are in the root folder, and their names.", _root_folders
        ),
        Builtin.DISK_USE: BuiltinSpec(
            "Disk use of /", "Size, used and available space of the root file system.", _disk_use
        ),
        Builtin.UPTIME: BuiltinSpec(
            "Uptime", "How long the machine has been up, and how busy it is.", _uptime
        ),
        Builtin.TOP_MEMORY: BuiltinSpec(
            "Processes by memory",
            "The processes that use the most memory.",
            _top_memory,
            (Argument("count", "Number of processes", 10, 1, 100),),
        ),
    }
)
