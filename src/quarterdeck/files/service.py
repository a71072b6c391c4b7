"""Files as the edges and the command line use them: places, what is in them, and what is looked at."""

from quarterdeck.core.clock import Clock
from quarterdeck.files.register import Places


class Files:
    """The parts of this capability, made together."""

    def __init__(self, places: Places, clock: Clock) -> None:
        self.places = places
        self._clock = clock
