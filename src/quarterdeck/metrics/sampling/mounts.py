"""The file systems of this machine, read so that one which hangs never holds up the others."""

import os
import threading
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import psutil
from msgspec.structs import replace

from quarterdeck.protocol.samples import Mount

MOST_MOUNTS: Final = 64
_LIMIT_SECONDS: Final = 2.0
_PSEUDO: Final = frozenset(
    (
        "autofs",
        "bdev",
        "binder",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "cpuset",
        "cramfs",
        "debugfs",
        "devfs",
        "devpts",
        "devtmpfs",
        "dlmfs",
        "efivarfs",
        "erofs",
        "fdescfs",
        "fusectl",
        "fuse.gvfsd-fuse",
        "fuse.lxcfs",
        "fuse.portal",
        "fuse.snapfuse",
        "hugetlbfs",
        "iso9660",
        "mqueue",
        "nfsd",
        "nsfs",
        "overlay",
        "overlayfs",
        "pipefs",
        "proc",
        "procfs",
        "pstore",
        "ramfs",
        "resctrl",
        "rootfs",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "shm",
        "smackfs",
        "sockfs",
        "squashfs",
        "sysfs",
        "tmpfs",
        "tracefs",
        "udf",
    )
)
"""No disks: in memory, of the kernel, or images that are always full. ``/`` counts whatever it is on."""


class Place(NamedTuple):
    """Where a file system is mounted."""

    path: str
    device: str
    kind: str


class Mounts:
    """Reads the sizes of the real file systems; use it from one thread at a time."""

    def __init__(
        self,
        places: Callable[[], Iterable[Place]] | None = None,
        measure: Callable[[str], tuple[int, int] | None] | None = None,
        *,
        limit_seconds: float = _LIMIT_SECONDS,
    ) -> None:
        self._places, self._measure = places or _mounted, measure or _sizes
        self._limit_seconds = limit_seconds
        self._known: dict[str, tuple[int, int]] = {}
        self._stuck: dict[str, threading.Thread] = {}

    def read(self) -> list[Mount]:
        """Return the file systems by path; takes two seconds at most, and only when another one hangs."""
        places = real(self._places())
        self._stuck = {path: thread for path, thread in self._stuck.items() if thread.is_alive()}
        reading = _Reading([place.path for place in places if place.path not in self._stuck], self._measure)
        # A daemon: one that hangs in the kernel can't be ended, and must not keep the node from ending.
        thread = threading.Thread(target=reading.run, name="mounts", daemon=True)
        thread.start()
        thread.join(self._limit_seconds)
        if (hanging := reading.give_up()) and thread.is_alive():
            self._stuck[hanging] = thread
        sizes = dict(reading.sizes)
        self._known = {place.path: self._known[place.path] for place in places if place.path in self._known}
        self._known |= {path: size for path, size in sizes.items() if size}
        gone = {path for path, size in sizes.items() if size is None}
        return [self._mount(place) for place in places if place.path not in gone and self._is_shown(place)]

    def _is_shown(self, place: Place) -> bool:
        return place.path in self._known or place.path in self._stuck

    def _mount(self, place: Place) -> Mount:
        total, available = self._known.get(place.path, (0, 0))
        mount = Mount(place.path, total, available, place.kind, place.device)
        return replace(mount, hangs=True) if place.path in self._stuck else mount


class _Reading:
    """One walk over the paths, given up when it takes too long."""

    def __init__(self, paths: list[str], measure: Callable[[str], tuple[int, int] | None]) -> None:
        self._paths, self._measure = paths, measure
        self._at, self._is_given_up = "", False
        self.sizes: dict[str, tuple[int, int] | None] = {}

    def run(self) -> None:
        for path in self._paths:
            if self._is_given_up:
                return
            self._at = path
            size = self._measure(path)
            if self._is_given_up:
                return
            self.sizes[path] = size
        self._at = ""

    def give_up(self) -> str:
        """Let the walk end; returns where it is, or an empty text when it is through."""
        self._is_given_up = True
        return self._at


def real(places: Iterable[Place]) -> list[Place]:
    """Return the file systems that are disks, each device once under its shortest path, by path."""
    chosen: dict[tuple[str, str], Place] = {}
    for place in places:
        if place.path != "/" and place.kind.lower() in _PSEUDO:
            continue
        key = (place.device, place.kind)
        if key not in chosen or len(place.path) < len(chosen[key].path):
            chosen[key] = place
    return sorted(chosen.values())[:MOST_MOUNTS]


def used_percent(mount: Mount) -> float:
    """Return how much of a file system an ordinary program can't write to any more, in percent."""
    return 100 * (1 - mount.available_bytes / mount.total_bytes) if mount.total_bytes > 0 else 0.0


def _mounted() -> list[Place]:
    return [Place(each.mountpoint, each.device, each.fstype) for each in psutil.disk_partitions(all=True)]


def _sizes(path: str) -> tuple[int, int] | None:
    """Return total and available bytes, or None for what has no size, is a file or may not be looked at."""
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - a container has single files mounted over its own
            return None
        usage = os.statvfs(path)
    except OSError:
        return None
    total = usage.f_blocks * usage.f_frsize
    return (total, usage.f_bavail * usage.f_frsize) if total else None
