"""When figures still stand for now."""

from typing import Final

from quarterdeck.metrics.fleet import IDLE_SECONDS, HostNow

MISSED: Final = 4
"""After so many samples that did not come, figures are absent: old ones would look as if they were of now."""


def is_fresh(host: HostNow, at: float) -> bool:
    """Tell whether the last figures of a machine still stand at a moment."""
    return bool(host.at) and at - host.at <= MISSED * max(host.interval_seconds, IDLE_SECONDS)
