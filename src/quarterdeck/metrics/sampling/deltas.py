"""What of a sample is worth sending: the figures and lists that differ from what the master knows."""

from collections.abc import Sequence
from typing import Final

from quarterdeck.metrics.figures import BY_KEY
from quarterdeck.protocol.samples import Frame, Interface, Mount

FULL_EVERY: Final = 20
_CORE_STEP: Final = 2.0
_MOUNT_SHARE: Final = 0.0005
_RATE_STEP: Final = 1024.0


class Deltas:
    """Turns full frames into what is sent. What was sent is what the next one is compared with."""

    def __init__(self) -> None:
        self._sent: Frame | None = None
        self._since_full = 0

    def forget(self) -> None:
        """Make the next frame a full one: the master may not have got the last."""
        self._sent = None

    def next(self, frame: Frame) -> Frame:
        """Return what to send for a full frame."""
        if self._sent is None or self._since_full >= FULL_EVERY - 1 or self._lost_a_figure(frame):
            self._sent, self._since_full = frame, 0
            return frame
        self._since_full += 1
        values = {key: value for key, value in frame.values.items() if self._is_news(key, value)}
        cores = _changed(frame.cores, self._sent.cores, _CORE_STEP)
        mounts = frame.mounts if _differ(frame.mounts or (), self._sent.mounts or ()) else None
        interfaces = frame.interfaces if _flow(frame.interfaces or (), self._sent.interfaces or ()) else None
        temperatures = frame.temperatures if frame.temperatures != self._sent.temperatures else None
        # Compared with what the master has, not with the sample before: slow changes add up.
        self._sent = Frame(
            at=frame.at,
            values=self._sent.values | values,
            cores=cores or self._sent.cores,
            mounts=mounts if mounts is not None else self._sent.mounts,
            interfaces=interfaces if interfaces is not None else self._sent.interfaces,
            temperatures=temperatures if temperatures is not None else self._sent.temperatures,
        )
        return Frame(
            at=frame.at,
            values=values,
            cores=cores,
            mounts=mounts,
            interfaces=interfaces,
            temperatures=temperatures,
        )

    def _lost_a_figure(self, frame: Frame) -> bool:
        """Tell whether a figure is there no more, which only a full frame can say."""
        return self._sent is not None and not self._sent.values.keys() <= frame.values.keys()

    def _is_news(self, key: str, value: float) -> bool:
        before = self._sent.values.get(key) if self._sent else None
        if before is None:
            return True
        # To zero is news, however small the way: a rate that has ended must not seem to go on.
        return abs(value - before) >= BY_KEY[key].step or (value == 0 != before)


def _changed(now: list[float] | None, before: list[float] | None, step: float) -> list[float] | None:
    if now is None or before is None or len(now) != len(before):
        return now
    return now if any(abs(a - b) >= step for a, b in zip(now, before, strict=True)) else None


def _differ(now: Sequence[Mount], before: Sequence[Mount]) -> bool:
    """Tell whether a file system came, went, hangs, or has another size or room by more than a trifle."""
    if len(now) != len(before):
        return True
    for is_, was in zip(now, before, strict=True):
        room = abs(is_.available_bytes - was.available_bytes)
        if (is_.path, is_.total_bytes, is_.hangs) != (was.path, was.total_bytes, was.hangs):
            return True
        if room > is_.total_bytes * _MOUNT_SHARE:
            return True
    return False


def _flow(now: Sequence[Interface], before: Sequence[Interface]) -> bool:
    """Tell whether an interface came or went, or carries more or less; the totals only grow."""
    if [each.name for each in now] != [each.name for each in before]:
        return True
    return any(
        abs(is_.received_rate - was.received_rate) >= _RATE_STEP
        or abs(is_.sent_rate - was.sent_rate) >= _RATE_STEP
        for is_, was in zip(now, before, strict=True)
    )
