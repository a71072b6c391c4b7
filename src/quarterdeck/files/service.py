"""Files as the edges and the command line use them: places, what is in them, and what is looked at."""

from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.files.choosing import Choosing
from quarterdeck.files.looking import Looking
from quarterdeck.files.recent import Recent
from quarterdeck.files.register import Places
from quarterdeck.files.trees import Trees
from quarterdeck.history.service import History


class Files:
    """The parts of this capability, made together."""

    def __init__(
        self, db: Database, history: History, clock: Clock, places: Places, *, records_views: bool = False
    ) -> None:
        self.places = places
        self.trees = Trees(clock)
        recent = Recent()
        self.choosing = Choosing(db, places, self.trees, recent)
        self.looking = Looking(places, self.trees, history, recent, records_views=records_views)
