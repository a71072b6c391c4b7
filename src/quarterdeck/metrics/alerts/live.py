"""Who may listen to news about alerts."""

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core.live.service import Live
from quarterdeck.core.web import Judge
from quarterdeck.metrics.alerts.service import BARE_ROOM, ROOM


def register(live: Live, may: Judge) -> None:
    """Open the room of all alerts to whoever may read every host, and the bare one to who may read some."""
    live.allow_room(
        ROOM, lambda actor, _room: may(actor, "host.read", "") and bounds_of(actor, "host.read") is None
    )
    live.allow_room(
        BARE_ROOM,
        lambda actor, _room: may(actor, "host.read", "") and bounds_of(actor, "host.read") is not None,
    )
