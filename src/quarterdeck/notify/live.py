"""Who hears of toasts as they are sent."""

from quarterdeck.core.live.service import Live
from quarterdeck.core.web import Judge


def register(live: Live, may: Judge) -> None:
    """Put whoever may read toasts into the rooms of their own, to which toasts go; a narrow token may not."""
    live.allow_own_rooms(lambda actor: may(actor, "toast.read", ""))
