"""Which files somebody looked at lately. In memory only: a convenience, and no record of what people read."""

from collections import OrderedDict
from threading import Lock
from typing import Final

from quarterdeck.core.actors import Actor
from quarterdeck.files.models import PlaceRecord

MOST_OF_ONE: Final = 20
_MOST_PEOPLE: Final = 2_000


class Recent:
    """The latest paths by person and place; the ones who looked at nothing for the longest are forgotten."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._paths: OrderedDict[tuple[str, str], list[str]] = OrderedDict()

    def note(self, actor: Actor, record: PlaceRecord, path: str) -> None:
        """Put a path first. Programs have none."""
        if actor.person_id is None:
            return
        key = (actor.person_id, record.id)
        with self._lock:
            known = self._paths.pop(key, [])
            self._paths[key] = [path, *(each for each in known if each != path)][:MOST_OF_ONE]
            while len(self._paths) > _MOST_PEOPLE:
                self._paths.popitem(last=False)

    def paths(self, actor: Actor, record: PlaceRecord) -> list[str]:
        """Return the paths, the latest first."""
        with self._lock:
            return list(self._paths.get((actor.person_id or "", record.id), ()))
