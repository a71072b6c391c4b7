"""Who may listen to which runs."""

from quarterdeck.core.live.service import Live
from quarterdeck.core.web import Judge


def register(live: Live, may: Judge) -> None:
    """Open the rooms ``runs`` (something changed in the list), ``run:<id>`` (states and output) and
    ``output:<id>/<host>``, in which a page says that it shows that host's output.
    """
    live.allow_room("runs", lambda actor, _room: may(actor, "run.read", ""))
    live.allow_room("run", lambda actor, room: may(actor, "run.read", room))
    live.allow_room("output", lambda actor, room: may(actor, "run.read", _run_of(room)))


def _run_of(room: str) -> str:
    return f"run:{room.removeprefix('output:').partition('/')[0]}"
