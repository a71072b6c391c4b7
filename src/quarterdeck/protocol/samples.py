"""What a worker says of how its machine is doing, and what its master answers, as MessagePack.

Sizes are in bytes, rates in bytes a second, shares in percent from 0 to 100, times in seconds since 1970 by
the sender's clock. A reader ignores members that it does not know and fills in missing ones, so that a node
may be one minor version newer than the other; figures (the keys of ``Frame.values``) are those of
``metrics/figures.py``, and an unknown one is passed over.
"""

from typing import Final

from msgspec import Struct, field

HEARTBEAT_PATH: Final = "/nodes/heartbeat"
MEDIA_TYPE: Final = "application/msgpack"


class Mount(Struct, frozen=True):
    """A file system; ``available_bytes`` is what an unprivileged program may still write.

    One that ``hangs`` does not answer (a network file system whose server is away, most often); its sizes
    are then the last known ones, or 0.
    """

    path: str
    total_bytes: int
    available_bytes: int
    kind: str = ""
    device: str = ""
    hangs: bool = False


class Interface(Struct, frozen=True):
    """A network interface; the totals count since the machine's start and may wrap."""

    name: str
    received_bytes: int
    sent_bytes: int
    received_rate: float = 0
    sent_rate: float = 0


class Temperature(Struct, frozen=True):
    """One sensor, in degrees Celsius."""

    name: str
    celsius: float


class Facts(Struct, frozen=True, kw_only=True):
    """What rarely changes of a machine: said at first and whenever it does."""

    hostname: str = ""
    system: str = ""
    """The name of the operating system as people know it: ``Debian GNU/Linux 12 (bookworm)``."""
    kernel: str = ""
    architecture: str = ""
    processor: str = ""
    processors: int = 0
    """Logical ones."""
    cores: int = 0
    memory_bytes: int = 0
    swap_bytes: int = 0
    booted_at: float = 0
    addresses: list[str] = field(default_factory=list)
    """Of all interfaces but loopback, IPv4 before IPv6."""
    python: str = ""


class Frame(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One sample of a machine.

    A full frame holds everything; any other what differs from the frame before it by more than the figure's
    step, and a list (``cores``, ``mounts`` and so on) only when it does. ``cores`` are the shares of each
    logical processor that were busy.
    """

    at: float
    is_full: bool = False
    values: dict[str, float] = field(default_factory=dict)
    cores: list[float] | None = None
    mounts: list[Mount] | None = None
    interfaces: list[Interface] | None = None
    temperatures: list[Temperature] | None = None


class Heartbeat(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker's sign of life with its samples since the last one, posted to ``/nodes/heartbeat``.

    ``number`` grows by one from heartbeat to heartbeat since the worker's ``start``; a gap in it means that
    deltas were missed. ``sent_at`` is the worker's clock when it sent this. ``interval_seconds`` is how
    often it samples now.
    """

    node: str
    version: str
    sent_at: float
    start: str = ""
    number: int = 0
    interval_seconds: float = 15
    running: int = 0
    uptime_seconds: float = 0
    frames: list[Frame] = field(default_factory=list)
    facts: Facts | None = None
    head: str = ""
    seq: int = 0


class HeartbeatAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The master's answer: how often to sample from now on, and whether it needs everything anew."""

    interval_seconds: float = 15
    heartbeat_seconds: float = 15
    wants_full: bool = False
    head: str = ""
    seq: int = 0


class Watching(Struct, frozen=True, kw_only=True):
    """The master tells a worker that somebody looks: sample and send this often, for so long.

    Posted to ``/sampling`` again before it ends, as long as anybody does.
    """

    interval_seconds: float = 1
    for_seconds: float = 30


class ProcessUse(Struct, frozen=True, kw_only=True):
    """One process of a machine; shares are of one processor and of all memory."""

    pid: int
    name: str
    user: str = ""
    cpu_percent: float = 0
    memory_percent: float = 0
    memory_bytes: int = 0
    started_at: float = 0


class Processes(Struct, frozen=True, kw_only=True):
    """The processes that use most, by ``order``: ``cpu`` or ``memory``; answered at ``/processes``."""

    at: float
    count: int
    top: list[ProcessUse] = field(default_factory=list)
