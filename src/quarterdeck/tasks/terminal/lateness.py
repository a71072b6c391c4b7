"""What somebody who waits at a terminal is told of the time: what is usual, and that it takes longer now."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from quarterdeck.core.clock import Clock
from quarterdeck.core.ui.words import duration_text
from quarterdeck.tasks.past import Usual, usual_words
from quarterdeck.tasks.terminal.client import Json

_LEAST_SECONDS: Final = 10.0
"""Who waits for something shorter still looks at it."""


class Lateness:
    """Tells it once, of the first host that is late."""

    def __init__(self, started: Json, tell: Callable[[str], None], clock: Clock) -> None:
        past = started.get("usual") or {}
        self._usual = {name: msgspec.convert(each, Usual) for name, each in past.items()}
        self._tell, self._clock = tell, clock
        if words := usual_words(self._usual.values()):
            where = "on this host" if len(started["hosts"]) == 1 else "on a host"
            tell(f"{words[:1].upper()}{words[1:]} {where}.")

    def look(self, run: Json) -> None:
        """Look at the run as it stands."""
        for host in run["hosts"]:
            usual = self._usual.get(host["name"])
            if usual is None or host["started_at"] is None or host["finished_at"] is not None:
                continue
            began = datetime.fromisoformat(host["started_at"])
            taken = (self._clock.now() - began).total_seconds()
            if taken > max(usual.p95_seconds, _LEAST_SECONDS):
                self._tell(f"{host['name']}: {usual_words([usual])}, now {duration_text(taken)}.")
                self._usual = {}
                return
