"""Live figures for the pages."""

from quarterdeck.core.live.service import Live
from quarterdeck.metrics.watching import Watching


def register(live: Live, watching: Watching) -> None:
    """Let pages say which hosts are on their screens; the watch ends with the socket, or with the right."""
    live.on_event("figures:watch", watching.watch)
    live.on_leave(watching.leave)
    live.on_check(watching.recheck)
