"""What is told of one machine, whichever node tells it: pure, and light enough for a worker."""

from dataclasses import dataclass
from typing import Final

from quarterdeck.core.exposition import Exposition, Family, labels
from quarterdeck.metrics.fleet import HostNow
from quarterdeck.protocol.samples import Facts


@dataclass(frozen=True, slots=True)
class _Value:
    """A figure that is told under a name of its own; ``scale`` turns percent into a ratio."""

    key: str
    name: str
    about: str
    scale: float = 1.0


_VALUES: Final = (
    _Value("load", "node_load1", "1m load average."),
    _Value("cpu", "quarterdeck_host_cpu_busy_ratio", "Share of all processors that was busy, 0 to 1.", 0.01),
    _Value("cpu_wait", "quarterdeck_host_cpu_wait_ratio", "Share that waited for disks, 0 to 1.", 0.01),
    _Value("memory", "quarterdeck_host_memory_used_ratio", "Share of memory in use, 0 to 1.", 0.01),
    _Value("swap", "quarterdeck_host_swap_used_ratio", "Share of swap in use, 0 to 1.", 0.01),
    _Value("disk_read", "quarterdeck_host_disk_read_bytes_per_second", "Read from all disks."),
    _Value("disk_write", "quarterdeck_host_disk_written_bytes_per_second", "Written to all disks."),
    _Value("processes", "quarterdeck_host_processes", "Processes."),
)


class MachineFamilies:
    """The families of machines in one text; ``add`` one machine after the other."""

    def __init__(self, text: Exposition) -> None:
        gauge, counter = text.gauge, text.counter
        self._info = gauge("quarterdeck_host_info", "What the machine is; always 1.")
        self._boot = gauge("node_boot_time_seconds", "When the machine was started, in seconds since 1970.")
        self._processors = gauge("quarterdeck_host_processors", "Logical processors.")
        self._values = [(each, gauge(each.name, each.about)) for each in _VALUES]
        self._core = gauge(
            "quarterdeck_host_core_busy_ratio", "Share of one processor that was busy, 0 to 1."
        )
        self._memory = gauge("node_memory_MemTotal_bytes", "Memory of the machine.")
        self._available = gauge("node_memory_MemAvailable_bytes", "Memory that programs may still get.")
        self._swap = gauge("node_memory_SwapTotal_bytes", "Swap of the machine.")
        self._swap_free = gauge("node_memory_SwapFree_bytes", "Swap that is not in use.")
        self._size = gauge("node_filesystem_size_bytes", "Size of a file system.")
        self._free = gauge("node_filesystem_avail_bytes", "What programs may still write to a file system.")
        self._hangs = gauge("quarterdeck_host_filesystem_hangs", "Whether a file system does not answer.")
        self._received = counter("node_network_receive_bytes_total", "Received by an interface.")
        self._sent = counter("node_network_transmit_bytes_total", "Sent by an interface.")
        self._celsius = gauge("quarterdeck_host_temperature_celsius", "What a sensor shows.")

    def add(self, host: HostNow, name: str = "") -> None:
        """Add what is known of a machine, under a label ``host`` unless there is no name."""
        own = labels(host=name) if name else ""
        within = f"{own}," if own else ""
        if host.facts:
            self._add_facts(host.facts, own, within)
            self._add_memory(host.facts, host.values, own)
        for each, family in self._values:
            if each.key in host.values:
                family.add(round(host.values[each.key] * each.scale, 6), own)
        for number, core in enumerate(host.cores):
            self._core.add(round(core / 100, 4), f'{within}cpu="{number}"')
        self._add_devices(host, within)

    def _add_facts(self, facts: Facts, own: str, within: str) -> None:
        about = labels(
            nodename=facts.hostname,
            system=facts.system,
            release=facts.kernel,
            machine=facts.architecture,
            python=facts.python,
        )
        self._info.add(1, within + about)
        self._processors.add(facts.processors, own)
        if facts.booted_at:
            self._boot.add(facts.booted_at, own)

    def _add_memory(self, facts: Facts, values: dict[str, float], own: str) -> None:
        self._memory.add(facts.memory_bytes, own)
        if "memory" in values:
            self._available.add(round(facts.memory_bytes * (1 - values["memory"] / 100)), own)
        self._swap.add(facts.swap_bytes, own)
        if "swap" in values or not facts.swap_bytes:
            self._swap_free.add(round(facts.swap_bytes * (1 - values.get("swap", 0) / 100)), own)

    def _add_devices(self, host: HostNow, within: str) -> None:
        for mount in host.mounts:
            place = within + labels(device=mount.device, fstype=mount.kind, mountpoint=mount.path)
            self._hangs.add(mount.hangs, place)
            if not mount.hangs:  # its sizes are those of some time ago
                self._size.add(mount.total_bytes, place)
                self._free.add(mount.available_bytes, place)
        for interface in host.interfaces:
            device = within + labels(device=interface.name)
            self._received.add(interface.received_bytes, device)
            self._sent.add(interface.sent_bytes, device)
        _add_all(self._celsius, host, within)


def _add_all(family: Family, host: HostNow, within: str) -> None:
    for place, sensor in enumerate(host.temperatures):
        # Two sensors may have one name; two values may not have the same labels.
        family.add(sensor.celsius, within + labels(sensor=sensor.name, number=str(place)))
