"""What the page of a host says of it now, in words and bars."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from quarterdeck.core.actors import Actor
from quarterdeck.core.ui.words import size_text
from quarterdeck.hosts.models import HostRecord, HostState
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.figures import BY_KEY
from quarterdeck.metrics.fleet import HostNow
from quarterdeck.metrics.host.charts import figure_text
from quarterdeck.metrics.overview.listing import why_no_figures

HIGH: Final = 90.0
"""Percent from which a bar says that it is high."""
_OLD_AFTER_BEATS: Final = 3
_LEAST_BEAT_SECONDS: Final = 15.0
_SILENT: Final = frozenset({HostState.LATE, HostState.LOST, HostState.REVOKED})
_SHARES: Final = ("cpu", "memory", "swap")


@dataclass(frozen=True, slots=True)
class RunGlance:
    """A run of this host as its page shows it."""

    id: str
    title: str
    state: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What other parts of the master know of a host; the factory hands it in."""

    runs: Callable[[Actor, str], list[RunGlance]]
    """The latest runs on the host of that name that somebody may read."""
    alerts: Callable[[str], Sequence[AlertRecord]] = lambda _host_id: ()
    """The active alerts of a host by its id, the worst first."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A share, with what it is of; ``key`` names its figure where it has one."""

    label: str
    percent: float
    text: str
    about: str = ""
    key: str = ""

    @property
    def is_high(self) -> bool:
        return self.percent >= HIGH

    @property
    def width(self) -> float:
        """Between 0 and 100, for the drawing."""
        return round(min(100.0, max(0.0, self.percent)), 1)


@dataclass(frozen=True, slots=True)
class HostView:
    """The host's figures; ``at`` is None while nothing was ever heard of it."""

    host: HostRecord
    at: datetime | None = None
    is_old: bool = False
    why: str = ""
    """Why there are no figures, and what to do about it."""
    shares: list[Bar] = field(default_factory=list)
    cores: list[Bar] = field(default_factory=list)
    mounts: list[Bar] = field(default_factory=list)
    rates: list[tuple[str, str, str]] = field(default_factory=list)
    """Of each interface: its name, what it receives and sends."""
    temperatures: list[Bar] = field(default_factory=list)
    numbers: list[tuple[str, str, str]] = field(default_factory=list)
    """Figures that are no shares: key, label and value."""
    facts: list[tuple[str, str]] = field(default_factory=list)
    booted_at: datetime | None = None


def view_of(host: HostRecord, now: HostNow | None, moment: datetime) -> HostView:
    """Return what is known of a host as its page shows it."""
    if now is None or not now.at:
        facts = _facts(now) if now else []
        return HostView(host, why=why_no_figures(host), facts=facts)
    patience = _OLD_AFTER_BEATS * max(now.interval_seconds, _LEAST_BEAT_SECONDS)
    is_old = moment.timestamp() - now.at > patience or host.state in _SILENT
    return HostView(
        host,
        at=datetime.fromtimestamp(now.at, UTC),
        is_old=is_old,
        why=why_no_figures(host) if is_old and not len(now.ring) else "",
        shares=[_share(key, now) for key in _SHARES if key in now.values],
        cores=[Bar(f"Core {number}", share, f"{share:.0f} %") for number, share in enumerate(now.cores)],
        mounts=_mounts(now),
        rates=[
            (each.name, f"{size_text(round(each.received_rate))}/s", f"{size_text(round(each.sent_rate))}/s")
            for each in now.interfaces
        ],
        temperatures=[Bar(each.name, each.celsius, f"{each.celsius:.0f} °C") for each in now.temperatures],
        numbers=[
            (key, BY_KEY[key].label, figure_text(key, value))
            for key, value in now.values.items()
            if key not in (*_SHARES, "disk", "temperature")
        ],
        facts=_facts(now),
        booted_at=datetime.fromtimestamp(now.facts.booted_at, UTC)
        if now.facts and now.facts.booted_at
        else None,
    )


def _share(key: str, now: HostNow) -> Bar:
    value, facts, about = now.values[key], now.facts, ""
    total = (
        (facts.memory_bytes if key == "memory" else facts.swap_bytes if key == "swap" else 0) if facts else 0
    )
    if total:
        about = f"{size_text(round(total * value / 100))} of {size_text(total)}"
    elif key == "cpu" and now.cores:
        about = f"{len(now.cores)} cores" if len(now.cores) > 1 else "1 core"
    return Bar(BY_KEY[key].label, value, f"{value:.1f} %", about, key)


def _mounts(now: HostNow) -> list[Bar]:
    """Return the file systems; of a host of which only stored samples are known, the fullest one."""
    if not now.mounts and "disk" in now.values:
        return [Bar(BY_KEY["disk"].label, now.values["disk"], figure_text("disk", now.values["disk"]))]
    return [_mount(each.path, each.total_bytes, each.available_bytes) for each in now.mounts]


def _mount(path: str, total: int, available: int) -> Bar:
    percent = 100 * (total - available) / total if total else 0.0
    return Bar(path, percent, f"{percent:.1f} %", f"{size_text(available)} free of {size_text(total)}")


def _facts(now: HostNow) -> list[tuple[str, str]]:
    facts = now.facts
    if facts is None:
        return []
    processor = f"{facts.processor}, " if facts.processor else ""
    pairs = [
        ("Name of its own", facts.hostname),
        ("System", facts.system),
        ("Kernel", " ".join(filter(None, (facts.kernel, facts.architecture)))),
        (
            "Processor",
            f"{processor}{facts.processors} logical, {facts.cores} cores" if facts.processors else "",
        ),
        ("Memory", size_text(facts.memory_bytes) if facts.memory_bytes else ""),
        ("Swap", size_text(facts.swap_bytes) if facts.swap_bytes else "none"),
        ("Addresses", ", ".join(facts.addresses)),
        ("Python", facts.python),
    ]
    return [(label, text) for label, text in pairs if text]
