"""Who may listen to which runs."""

from quarterdeck.access.permissions import may
from quarterdeck.core.live.service import Live


def register(live: Live) -> None:
    """Open the rooms ``runs`` (something changed in the list) and ``run:<id>`` (states and output)."""
    live.allow_room("runs", lambda actor, _room: may(actor, "run.read"))
    live.allow_room("run", lambda actor, room: may(actor, "run.read", room))
