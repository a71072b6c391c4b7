"""What is sent in the namespace ``/dashboard``, from what is known of the machine: pure.

The foreign page (docs/live.md) needs every key of the boxes in ``dynamic`` and puts the texts of ``static``
into its page as HTML. So nothing that HTML could be made of is in them.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final

from quarterdeck.metrics.fleet import HostNow
from quarterdeck.protocol.samples import Facts, Mount

Content = dict[str, Any]  # Any: JSON

ROOT: Final = "/"
_NOT_IN_TEXT: Final = dict.fromkeys([*range(32), *map(ord, "<>&\"'`"), 127])
_LONGEST_TEXT: Final = 200
_DISPLAYED_BYTES: Final = 10_000_000
"""Sizes are shown in GB with two decimals."""


def plain(text: str) -> str:
    """Return a text without what HTML could be made of; such characters stand in no name of ours."""
    return text.translate(_NOT_IN_TEXT).strip()[:_LONGEST_TEXT]


def static_of(facts: Facts) -> Content:
    """Return what rarely changes; the boot time is the machine's own and has no zone, as the page wants."""
    kernel, system = plain(facts.kernel), plain(facts.system)
    booted = datetime.fromtimestamp(facts.booted_at, UTC).astimezone() if facts.booted_at else None
    return {
        "os_info": {
            "system": system,
            "platform": "-".join(filter(None, (system, kernel, plain(facts.architecture)))),
            "arch": plain(facts.architecture),
            "version": kernel,
            "release": kernel,
            "name": plain(facts.hostname),
            "processor": facts.processors,
        },
        "ip_address": [plain(address) for address in facts.addresses],
        "boottime_info": f"{booted:%Y-%m-%d %H:%M:%S}" if booted else "",
        "python_info": plain(facts.python),
    }


def dynamic_of(host: HostNow) -> Content | None:
    """Return the figures, memory and disk as used shares in percent; None before the first sample.

    A machine of which no file system is known has one of zero bytes: the page needs all keys.
    ``more`` and ``cores`` are ours; the foreign page does not look at them.
    """
    if not host.at:
        return None
    values, facts = host.values, host.facts or Facts()
    memory, disk = values.get("memory", 0.0), disk_of(host)
    disk_share = 100 * (1 - disk.available_bytes / disk.total_bytes) if disk.total_bytes else 0.0
    return {
        "memory_info": {
            "total": facts.memory_bytes,
            "available": round(facts.memory_bytes * (1 - memory / 100)),
            "usage": round(memory, 2),
        },
        "cpu_info": {
            "usage": round(values.get("cpu", 0.0), 1),
            "processor": facts.processors,
            "cores": [round(core) for core in host.cores],
        },
        "disk_info": {
            "free": disk.available_bytes,
            "total": disk.total_bytes,
            "percent": round(disk_share, 1),
        },
        "more": {
            key: round(values[key], 2)
            for key in ("load", "swap", "received", "sent", "temperature")
            if key in values
        },
    }


def disk_of(host: HostNow) -> Mount:
    """Return the root file system, or else the one with the shortest path."""
    mounts = sorted(host.mounts, key=lambda mount: (mount.path != ROOT, len(mount.path)))
    return mounts[0] if mounts else Mount(ROOT, 0, 0)


def displayed(dynamic: Content) -> tuple[float, ...]:
    """Return the figures of the boxes as exactly as they are shown: others are no reason to send."""
    memory, cpu, disk = dynamic["memory_info"], dynamic["cpu_info"], dynamic["disk_info"]
    return (
        round(memory["usage"], 1),
        memory["total"],
        memory["available"] // _DISPLAYED_BYTES,
        cpu["usage"],
        disk["percent"],
        disk["total"],
        disk["free"] // _DISPLAYED_BYTES,
    )


def envelope(count: int, **parts: Content) -> Content:
    """Return the payload of ``my_response``: JSON within a text, and a number that the page does not read."""
    return {"data": json.dumps(parts, separators=(",", ":")), "count": count}
