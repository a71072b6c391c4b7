"""Who may enter the namespace of the live page, and what its clients may ask."""

from collections.abc import Callable

from quarterdeck.core.live.service import Door, Live
from quarterdeck.core.web import Judge
from quarterdeck.metrics.dashboard.board import NAMESPACE, Board


def register(live: Live, may: Judge, board: Board, *, own_name: Callable[[], str], is_public: bool) -> None:
    """Open it to whoever may read the master's own host, or to anybody where the settings say so."""
    live.open(
        Door(
            namespace=NAMESPACE,
            may_enter=lambda actor: may(actor, "host.read", f"host:{own_name()}"),
            is_public=is_public,
            entered=board.entered,
            left=board.left,
            events={"my_ping": board.ping},
        )
    )
