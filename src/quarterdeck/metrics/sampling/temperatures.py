"""The temperature sensors of this machine; some take long to answer, so they are read aside."""

import threading
from collections.abc import Callable
from typing import Final

import psutil

from quarterdeck.protocol.samples import Temperature

MOST_SENSORS: Final = 32
_AGAIN_SECONDS: Final = 10
_LOOK_AGAIN_SECONDS: Final = 300
"""Where there are no sensors: they may be plugged in."""


class Temperatures:
    """Returns the last reading at once and begins the next one in a thread of its own when it is due."""

    def __init__(self, read: Callable[[], list[Temperature]] | None = None) -> None:
        self._read = read or _sensors
        self._last: list[Temperature] = []
        self._due = 0.0
        self._thread: threading.Thread | None = None

    def latest(self, now: float) -> list[Temperature]:
        """Return the sensors as last read; ``now`` is monotonic. Empty before the first reading."""
        if now >= self._due and (self._thread is None or not self._thread.is_alive()):
            self._due = now + (_AGAIN_SECONDS if self._last or self._thread is None else _LOOK_AGAIN_SECONDS)
            self._thread = threading.Thread(target=self._renew, name="temperatures", daemon=True)
            self._thread.start()
        return self._last

    def _renew(self) -> None:
        self._last = self._read()


def _sensors() -> list[Temperature]:
    if not hasattr(psutil, "sensors_temperatures"):
        return []
    try:
        groups = psutil.sensors_temperatures()
    except (OSError, ValueError):  # a sensor that went away while it was read, or says no number
        return []
    found = []
    for group, sensors in groups.items():
        for place, sensor in enumerate(sensors, 1):
            label = sensor.label or (f"{group} {place}" if len(sensors) > 1 else group)
            # Sensors that are not connected say 0, -128, 255 or 65261.
            if -50 < sensor.current < 150 and sensor.current:
                found.append(Temperature(label, round(sensor.current, 1)))
    return found[:MOST_SENSORS]
