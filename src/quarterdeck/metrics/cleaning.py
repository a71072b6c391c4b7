"""What a worker says of itself, brought within limits: its machine may be anybody's by now."""

import math
from collections.abc import Iterable
from typing import Final

from quarterdeck.core.errors import Invalid
from quarterdeck.metrics.figures import BY_KEY, Unit
from quarterdeck.metrics.sampling.counters import MOST_INTERFACES
from quarterdeck.metrics.sampling.facts import MOST_ADDRESSES
from quarterdeck.metrics.sampling.mounts import MOST_MOUNTS
from quarterdeck.metrics.sampling.temperatures import MOST_SENSORS
from quarterdeck.protocol.samples import Facts, Frame, Heartbeat, Interface, Mount, Temperature

MOST_FRAMES: Final = 64
_MOST_CORES: Final = 1024
_LONGEST_TEXT: Final = 120
_LONGEST_PATH: Final = 300
_MOST_BYTES: Final = 2**62
_MOST_NUMBER: Final = 2**53
_MOST_RATE: Final = 1e13
_MOST_COUNT: Final = 1e8
_CELSIUS: Final = (-273.0, 1000.0)
_LONGEST_INTERVAL: Final = 3600.0
_MOST_SECONDS: Final = 1e10
_RANGES: Final = {
    Unit.PERCENT: (0.0, 100.0),
    Unit.RATE: (0.0, _MOST_RATE),
    Unit.CELSIUS: _CELSIUS,
    Unit.NUMBER: (0.0, _MOST_COUNT),
}


def cleaned(beat: Heartbeat) -> Heartbeat:
    """Return a heartbeat with every text, number and list within limits; raises Invalid for what is none."""
    if not math.isfinite(beat.sent_at):
        raise Invalid({"sent_at": "This must be a time."})
    if len(beat.frames) > MOST_FRAMES:
        raise Invalid({"frames": f"A heartbeat has at most {MOST_FRAMES} samples."})
    return Heartbeat(
        node=text(beat.node),
        version=text(beat.version, 40),
        sent_at=beat.sent_at,
        start=text(beat.start, 26),
        number=_whole(beat.number),
        interval_seconds=number(beat.interval_seconds, 1.0, _LONGEST_INTERVAL, 15.0),
        running=_whole(beat.running),
        uptime_seconds=number(beat.uptime_seconds, 0.0, _MOST_SECONDS),
        frames=[_frame(frame) for frame in beat.frames if math.isfinite(frame.at)],
        facts=facts(beat.facts) if beat.facts else None,
        head=text(beat.head, 64),
        seq=_whole(beat.seq),
    )


def facts(said: Facts) -> Facts:
    """Return facts within limits."""
    return Facts(
        hostname=text(said.hostname, 253),
        system=text(said.system),
        kernel=text(said.kernel),
        architecture=text(said.architecture, 40),
        processor=text(said.processor),
        processors=min(_whole(said.processors), 100_000),
        cores=min(_whole(said.cores), 100_000),
        memory_bytes=_size(said.memory_bytes),
        swap_bytes=_size(said.swap_bytes),
        booted_at=number(said.booted_at, 0.0, _MOST_SECONDS),
        addresses=[text(each, 60) for each in said.addresses[:MOST_ADDRESSES]],
        python=text(said.python, 40),
    )


def text(said: str, most: int = _LONGEST_TEXT) -> str:
    """Return a text cut short and without what is not printable, such as line ends and turns of direction."""
    said = said[:most]
    return said if said.isprintable() else "".join(each for each in said if each.isprintable())


def number(said: float, least: float, most: float, otherwise: float = 0.0) -> float:
    """Return a number within its limits; ``otherwise`` for what is none."""
    return min(most, max(least, said)) if math.isfinite(said) else otherwise


def figures(said: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the known figures within their ranges; what is no number is no figure."""
    kept = {}
    for key, value in said:
        figure = BY_KEY.get(key)
        if figure is not None and math.isfinite(value):
            least, most = _RANGES[figure.unit]
            kept[key] = min(most, max(least, value))
    return kept


def _frame(frame: Frame) -> Frame:
    return Frame(
        at=frame.at,
        is_full=frame.is_full,
        values=figures(frame.values.items()),
        cores=None
        if frame.cores is None
        else [number(share, 0.0, 100.0) for share in frame.cores[:_MOST_CORES]],
        mounts=None if frame.mounts is None else [_mount(each) for each in frame.mounts[:MOST_MOUNTS]],
        interfaces=None
        if frame.interfaces is None
        else [_interface(each) for each in frame.interfaces[:MOST_INTERFACES]],
        temperatures=None
        if frame.temperatures is None
        else [
            Temperature(text(each.name, 60), number(each.celsius, *_CELSIUS))
            for each in frame.temperatures[:MOST_SENSORS]
        ],
    )


def _mount(said: Mount) -> Mount:
    total = _size(said.total_bytes)
    return Mount(
        text(said.path, _LONGEST_PATH),
        total,
        min(total, _size(said.available_bytes)),
        text(said.kind, 40),
        text(said.device, _LONGEST_PATH),
        said.hangs,
    )


def _interface(said: Interface) -> Interface:
    return Interface(
        text(said.name, 40),
        _size(said.received_bytes),
        _size(said.sent_bytes),
        number(said.received_rate, 0.0, _MOST_RATE),
        number(said.sent_rate, 0.0, _MOST_RATE),
    )


def _size(said: int) -> int:
    return min(_MOST_BYTES, max(0, said))


def _whole(said: int) -> int:
    return min(_MOST_NUMBER, max(0, said))
