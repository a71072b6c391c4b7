"""How long sign-ins, tokens and links count: the settings, as spans of time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.config import Settings

FIRST_LINK: Final = timedelta(hours=24)
"""Of the link by which the first administrator begins; each start makes a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Made once from the settings."""

    session_idle: timedelta
    session: timedelta
    api_access: timedelta
    api_refresh: timedelta
    link: timedelta
    invitation: timedelta
    reset_link: timedelta
    break_glass: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            session_idle=timedelta(hours=settings.session_hours),
            session=timedelta(days=settings.session_days),
            api_access=timedelta(minutes=settings.api_access_minutes),
            api_refresh=timedelta(days=settings.api_refresh_days),
            link=timedelta(minutes=settings.link_minutes),
            invitation=timedelta(hours=settings.invitation_hours),
            reset_link=timedelta(hours=settings.reset_link_hours),
            break_glass=timedelta(minutes=settings.break_glass_minutes),
        )

    def session_end(self, created_at: datetime, used_at: datetime) -> datetime:
        """Return when a session that was last used then is over."""
        return min(used_at + self.session_idle, created_at + self.session)

    def link_of(self, actor: Actor) -> timedelta:
        """Return how long a link to sign in counts that this actor makes."""
        return self.break_glass if actor.kind is ActorKind.SYSTEM else self.link
