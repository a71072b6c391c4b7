"""Buckets and turns: how often, how much at once, and never more memory than was planned for."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask, Response

from quarterdeck.core import web
from quarterdeck.core.actors import NOBODY, Actor, ActorKind, Role
from quarterdeck.core.errors import Limited
from quarterdeck.core.limits import (
    KNOWN_ACTORS,
    KNOWN_ADDRESSES,
    Cost,
    TryLimit,
    Turn,
    WorkLimit,
    network_of,
)
from tests.clocks import SetClock

PROOFS = Cost("proofs", a_minute=6, at_once=2, at_once_in_all=3)
VERA = Actor(ActorKind.PERSON, "vera", role=Role.VIEWER, person_id="1", credential_id="a")
OSKAR = Actor(ActorKind.PERSON, "oskar", role=Role.OPERATOR, person_id="2")


def refusal(limit: WorkLimit, actor: Actor) -> Limited:
    with pytest.raises(Limited) as caught:
        limit.begin(PROOFS, actor)
    return caught.value


def test_work_fills_up_again_by_the_minute() -> None:
    clock = SetClock()
    limit = WorkLimit(clock)
    for _ in range(6):
        limit.begin(PROOFS, VERA).end()
    refused = refusal(limit, VERA)
    assert (refused.message, refused.retry_after) == (
        "Too many proofs in a short time. Wait 10 s, then try again.",
        10,
    )
    limit.begin(PROOFS, OSKAR).end()
    clock.forward(seconds=10)
    limit.begin(PROOFS, VERA).end()


def test_so_much_at_once_for_one_and_for_all() -> None:
    limit = WorkLimit(SetClock())
    turns = [limit.begin(PROOFS, VERA), limit.begin(PROOFS, VERA)]
    assert refusal(limit, VERA).message.startswith("2 proofs of yours are under way.")
    limit.begin(PROOFS, OSKAR)
    assert refusal(limit, OSKAR).message.startswith("Too many proofs are under way here.")
    turns[0].end()
    turns[0].end()
    limit.begin(PROOFS, OSKAR)
    assert limit.under_way() == 3


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (VERA, Actor(ActorKind.PERSON, "vera", person_id="1", credential_id="another session"), True),
        (VERA, OSKAR, False),
        (
            Actor(ActorKind.TOKEN, "vera/a", person_id="1", credential_id="t1"),
            Actor(ActorKind.TOKEN, "vera/b", person_id="1", credential_id="t2"),
            False,
        ),
        (
            Actor(NOBODY.kind, NOBODY.name, "2001:db8::1"),
            Actor(NOBODY.kind, NOBODY.name, "2001:db8::2"),
            True,
        ),
    ],
)
def test_who_counts_as_one(one: Actor, other: Actor, is_same: bool) -> None:
    limit = WorkLimit(SetClock())
    for _ in range(PROOFS.a_minute):
        limit.begin(PROOFS, one).end()
    if is_same:
        refusal(limit, other)
    else:
        limit.begin(PROOFS, other)


def test_threads_never_hold_more_than_there_are_turns() -> None:
    cost = Cost("searches", a_minute=10_000, at_once=3, at_once_in_all=3)
    limit = WorkLimit(SetClock())

    def work(_number: int) -> bool:
        try:
            turn = limit.begin(cost, VERA)
        except Limited:
            return True
        is_within = limit.under_way() <= 3
        turn.end()
        return is_within

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(2_000)))
    assert limit.under_way() == 0


def test_the_limits_know_a_bounded_number() -> None:
    tries, work = TryLimit(SetClock()), WorkLimit(SetClock())
    for number in range(KNOWN_ADDRESSES * 2):
        tries.take(f"2001:db8:{number:x}::1")
        work.begin(PROOFS, Actor(ActorKind.TOKEN, "vera/x", credential_id=str(number))).end()
    assert (len(tries), len(work), work.under_way()) == (KNOWN_ADDRESSES, KNOWN_ACTORS, 0)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("x" * 99, "x" * 64),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_turn_lasts_as_long_as_the_answer_is_sent() -> None:
    work = WorkLimit(SetClock())
    app = Flask("site")
    web.install(
        app, web.Edge(lambda: VERA, lambda *_: True, lambda *_: None, lambda *_: None, work=work)
    )  # fmt: skip
    seen: list[int] = []

    @web.allow("x")
    @web.costs(PROOFS)
    def stream() -> Response:
        return Response(str(work.under_way()) for _ in range(2))

    @web.allow("x")
    @web.costs(PROOFS)
    def fail() -> Response:
        seen.append(work.under_way())
        raise KeyError

    app.add_url_rule("/stream", "stream", stream)
    app.add_url_rule("/fail", "fail", fail)
    client = app.test_client()
    answer = client.get("/stream")
    assert (answer.text, work.under_way()) == ("11", 1)
    answer.close()
    assert work.under_way() == 0
    client.head("/stream")
    assert (client.get("/fail").status_code, seen, work.under_way()) == (500, [1], 0)


def test_a_limit_is_told_with_the_time_to_wait() -> None:
    work, turns = WorkLimit(SetClock()), list[Turn]()
    app = Flask("site")
    web.install(app, web.Edge(lambda: VERA, lambda *_: True, lambda *_: None, lambda *_: None, work=work))
    app.add_url_rule("/prove", "prove", web.allow("x")(web.costs(PROOFS)(lambda: "proved")))
    turns += [work.begin(PROOFS, VERA) for _ in range(2)]
    answer = app.test_client().get("/prove")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
    assert answer.get_json(force=True)["retry_after"] == 5
    turns[0].end()
    assert app.test_client().get("/prove").text == "proved"
