"""Who may see a change, and whose it is to go on with."""

from quarterdeck.access.permissions import includes, may
from quarterdeck.core.actors import Actor, ActorKind, Role
from quarterdeck.core.errors import Conflict, Forbidden, NotFound
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.changes.store import ChangeStore, Visible
from quarterdeck.files.models import PlaceRecord
from quarterdeck.files.places.place import Place
from quarterdeck.files.register import Places, target_of

_GONE = "There is no such change, or it is not open to you."


class ChangeRights:
    """Answers for single changes and for lists of them; the place's rights are the register's to judge."""

    def __init__(self, store: ChangeStore, places: Places) -> None:
        self._store, self._places = store, places

    def readable(self, actor: Actor, change_id: str) -> ChangeRecord:
        """Return a change of one's own, or of a place that one may read; raises NotFound."""
        change = self._store.get(change_id)
        record = self._places.by_id(change.place_id)
        if record is not None:
            if not may(actor, "file.read", target_of(record)):
                raise NotFound(_GONE)
        elif not (is_own(actor, change) or is_administrator(actor)):
            raise NotFound(_GONE)
        return change

    def own(self, actor: Actor, change_id: str) -> ChangeRecord:
        """Return a change of one's own, to go on with; raises NotFound and Forbidden."""
        change = self.readable(actor, change_id)
        if not is_own(actor, change):
            raise Forbidden(f"This change is {change.person}’s. Only they go on with it.")
        self._check_writable(actor, change)
        return change

    def own_or_administered(self, actor: Actor, change_id: str) -> ChangeRecord:
        """Return a change that one may put an end to: one's own, for administrators everybody's."""
        change = self.readable(actor, change_id)
        if not (is_own(actor, change) or is_administrator(actor)):
            raise Forbidden(f"This change is {change.person}’s. Only they or an administrator may end it.")
        self._check_writable(actor, change)
        return change

    def writable(self, actor: Actor, place: str) -> PlaceRecord:
        """Return a place to change files in; raises NotFound and Forbidden."""
        return self._places.get(actor, place, "file.write")

    def readable_place(self, actor: Actor, place: str) -> PlaceRecord:
        """Return a place to see; raises NotFound."""
        return self._places.get(actor, place)

    def visible(self, actor: Actor) -> Visible | None:
        """Return what lists show to somebody; None is everything."""
        if is_administrator(actor) and actor.kind is not ActorKind.TOKEN:
            return None
        places = self._places.list_places(actor)
        return Visible(frozenset(place.id for place in places), actor.person_id or "")

    def record_of(self, change: ChangeRecord) -> PlaceRecord | None:
        """Return the place of a change; None when it is gone."""
        return self._places.by_id(change.place_id)

    def open(self, change: ChangeRecord) -> tuple[PlaceRecord, Place]:
        """Return the place of a change with its adapter; raises Conflict when it is gone."""
        record = self._places.by_id(change.place_id)
        if record is None:
            raise Conflict(
                f"The place {change.place} was removed. The texts of this change are kept: download them."
            )
        return record, self._places.open(record)

    def open_place(self, record: PlaceRecord) -> Place:
        """Return the adapter of a place."""
        return self._places.open(record)

    def _check_writable(self, actor: Actor, change: ChangeRecord) -> None:
        if record := self._places.by_id(change.place_id):
            self._places.get(actor, record.name, "file.write")


def is_own(actor: Actor, change: ChangeRecord) -> bool:
    """Tell whose a change is: a person's, also by their tokens; of the command line, the account's."""
    if actor.person_id:
        return actor.person_id == change.person_id
    return actor.kind is ActorKind.SYSTEM and not change.person_id and actor.name == change.person


def is_administrator(actor: Actor) -> bool:
    """Tell whether somebody may put an end to the changes of others."""
    return actor.kind is ActorKind.SYSTEM or includes(actor.role, Role.ADMINISTRATOR)


def person_of(actor: Actor) -> str:
    """Return the name of who acts; of a token, its person's."""
    return actor.name.partition("/")[0] if actor.kind is ActorKind.TOKEN else actor.name
