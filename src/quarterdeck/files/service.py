"""Files as the edges and the command line use them: places, what is in them, and what is looked at."""

from collections.abc import Sequence

from quarterdeck.core.actors import Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.files.choosing import Choosing, Question
from quarterdeck.files.looking import Looking
from quarterdeck.files.places.place import Entry
from quarterdeck.files.recent import Recent
from quarterdeck.files.register import Places
from quarterdeck.files.tree.trees import Trees
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

    def find(self, actor: Actor, place: str, words: str, *, ref: str = "", limit: int) -> Sequence[Entry]:
        """Return the files that fit some words, the best first; raises NotFound and PlaceError."""
        choice = self.choosing.choose(actor, place, Question(ref=ref, words=words, limit=limit))
        if choice.trouble is not None:
            raise choice.trouble
        return choice.found

    def read(self, actor: Actor, place: str, path: str, *, ref: str = "") -> bytes:
        """Return a file as it is stored, which is recorded as a download; raises as ``Looking.download``."""
        return self.looking.download(actor, place, ref, path)[1]
