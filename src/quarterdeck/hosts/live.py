"""Who may listen to news about hosts."""

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core.live.service import Live
from quarterdeck.core.web import Judge
from quarterdeck.hosts.changes import BARE_ROOM, ROOM


def register(live: Live, may: Judge) -> None:
    """Open the room of all hosts to whoever may read each of them, and the bare one to who may read some.

    The news of the first name hosts by their ids. Those of the second say only that something has changed:
    a page then fetches its part again, which holds what its reader may see.
    """
    live.allow_room(
        ROOM, lambda actor, _room: may(actor, "host.read", "") and bounds_of(actor, "host.read") is None
    )
    live.allow_room(
        BARE_ROOM,
        lambda actor, _room: may(actor, "host.read", "") and bounds_of(actor, "host.read") is not None,
    )
