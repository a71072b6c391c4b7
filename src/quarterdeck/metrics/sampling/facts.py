"""What rarely changes of this machine."""

import ipaddress
import os
import platform
import socket
from pathlib import Path
from typing import Final

import psutil

from quarterdeck.protocol.samples import Facts

MOST_ADDRESSES: Final = 32
_CPU_INFO: Final = Path("/proc/cpuinfo")
_BOOT_STEP_SECONDS: Final = 60
"""The time of the start is reckoned from the clock, which is set by a little now and then."""


def read_facts(before: Facts | None = None) -> Facts:
    """Return the facts as they are now; equal to those of ``before`` when nothing has changed."""
    booted_at = float(round(psutil.boot_time()))
    if before and abs(before.booted_at - booted_at) < _BOOT_STEP_SECONDS:
        booted_at = before.booted_at
    return Facts(
        hostname=platform.node(),
        system=before.system if before else _system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        processor=before.processor if before else _processor(),
        processors=os.cpu_count() or 0,
        cores=before.cores if before else psutil.cpu_count(logical=False) or 0,
        memory_bytes=psutil.virtual_memory().total,
        swap_bytes=psutil.swap_memory().total,
        booted_at=booted_at,
        addresses=_addresses(),
        python=platform.python_version(),
    )


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:  # no Linux, or one without that file
        return f"{platform.system()} {platform.release()}".strip()


def _processor() -> str:
    try:
        with _CPU_INFO.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() in ("model name", "Hardware", "cpu model"):
                    return value.strip()
    except OSError:
        return platform.processor()
    return platform.processor()


def _addresses() -> list[str]:
    found = []
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            if entry.family in (socket.AF_INET, socket.AF_INET6):
                address = ipaddress.ip_address(entry.address.partition("%")[0])
                if not address.is_loopback and not address.is_link_local:
                    found.append(address)
    return [str(each) for each in sorted(set(found), key=lambda each: (each.version, int(each)))][
        :MOST_ADDRESSES
    ]
