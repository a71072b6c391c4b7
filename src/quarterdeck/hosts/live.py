"""Who may listen to news about hosts."""

from quarterdeck.access.permissions import may
from quarterdeck.core.live.service import Live
from quarterdeck.hosts.changes import ROOM


def register(live: Live) -> None:
    """Let whoever may read hosts join their room."""
    live.allow_room(ROOM, lambda actor, room: may(actor, "host.read", room))
