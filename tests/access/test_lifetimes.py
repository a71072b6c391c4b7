"""How long sign-ins, tokens and links count is set; each counts until its end, and not a second longer."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from quarterdeck.access.agents import Client
from quarterdeck.core.actors import SYSTEM, Actor, ActorKind, Role
from quarterdeck.core.errors import NotFound, Unauthenticated
from tests.access.factories import PASSWORD, Deck, add_cast, make_deck

ADA = Actor(ActorKind.PERSON, "ada", role=Role.ADMINISTRATOR)
SECOND = timedelta(seconds=1)


@pytest.fixture
def short(tmp_path: Path) -> Deck:
    deck = make_deck(
        tmp_path / "home",
        session_hours=2,
        session_days=1,
        api_access_minutes=3,
        api_refresh_days=2,
        link_minutes=4,
        invitation_hours=5,
        reset_link_hours=6,
        break_glass_minutes=7,
    )
    return add_cast(deck)


def test_a_session_ends_unused_and_at_last_however_busy(short: Deck) -> None:
    idle, busy = (short.access.sign_in("vera", PASSWORD) for _ in range(2))
    for _ in range(23):
        assert short.access.actor_for_session(busy, "") is not None
        short.clock.forward(hours=1)
    assert short.access.actor_for_session(idle, "") is None
    assert short.access.actor_for_session(busy, "") is not None
    short.clock.moment += timedelta(hours=1) - SECOND
    assert short.access.actor_for_session(busy, "") is not None
    short.clock.moment += SECOND
    assert short.access.actor_for_session(busy, "") is None


def test_an_api_client_renews_until_its_last_day(short: Deck) -> None:
    pair = short.access.sign_in_api("vera", PASSWORD, Client())
    assert (pair.expires_in, pair.refresh_expires_in) == (180, 172_800)
    short.clock.moment += timedelta(minutes=3) - SECOND
    assert short.access.actor_for_token(pair.access_token, "") is not None
    short.clock.moment += SECOND
    assert short.access.actor_for_token(pair.access_token, "") is None
    short.clock.moment += timedelta(days=2, minutes=-3) - SECOND
    pair = short.access.api_sessions.renew(pair.refresh_token, Client())
    assert pair.expires_in == 1
    short.clock.moment += SECOND
    with pytest.raises(Unauthenticated):
        short.access.api_sessions.renew(pair.refresh_token, Client())


@pytest.mark.parametrize(
    ("make", "lifetime"),
    [
        (lambda deck: deck.access.new_sign_in_link(ADA, "vera"), timedelta(minutes=4)),
        (lambda deck: deck.access.new_invitation(ADA, "vera"), timedelta(hours=5)),
        (lambda deck: deck.access.reset_password(ADA, "vera"), timedelta(hours=6)),
        (lambda deck: deck.access.new_sign_in_link(SYSTEM, "vera"), timedelta(minutes=7)),
    ],
    ids=["link", "invitation", "reset", "break-glass"],
)
def test_a_link_counts_for_its_time(short: Deck, make: Callable[[Deck], str], lifetime: timedelta) -> None:
    token = make(short).rpartition("/")[2]
    short.clock.moment += lifetime - SECOND
    assert short.access.link_purpose(token).person == "vera"
    short.clock.moment += SECOND
    with pytest.raises(NotFound):
        short.access.link_purpose(token)
