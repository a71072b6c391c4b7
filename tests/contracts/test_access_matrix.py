"""The access matrix, tried for real: every route by every kind of caller, in one running master."""

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.access.permissions import RULES, WORKER_VERBS
from quarterdeck.core import web
from quarterdeck.core.dispatch import Dispatcher
from quarterdeck.core.ids import new_id
from quarterdeck.core.live.service import CONSOLE
from quarterdeck.core.loop import Loop
from quarterdeck.protocol.samples import Frame
from tests.contracts.access_matrix import (
    EVENTS,
    OWN_ROOMS,
    ROOMS,
    SECONDARY,
    WATCHED,
    Caller,
    Need,
    Way,
    entries,
    is_let_in,
)
from tests.contracts.matrix_world import HIDDEN, World
from tests.core.server import serving, until

Ask = Callable[[str, Any], Awaitable[dict[str, Any]]]
"""From an event and its data to the acknowledgement."""
ENDING = "POST /sign-out"
"""It ends the session by which it is tried: here the last thing, and only by those who have none."""


@pytest.fixture
def shut_downs() -> Iterator[list[int]]:
    """Catch the signal by which ``POST /shutdown`` ends its process."""
    caught: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: caught.append(number))
    yield caught
    signal.signal(signal.SIGTERM, before)


def test_every_route_has_its_entry(world: World) -> None:
    there = sorted(f"{method} {rule.rule}" for rule, method in calls(world))
    assert sorted(name for name, _, _ in entries()) == there


def test_every_route_says_which_verb_it_needs(world: World) -> None:
    known = {*RULES, *WORKER_VERBS, web.PUBLIC}
    views = world.app.view_functions
    silent = [
        rule.rule for rule in world.app.url_map.iter_rules() if web.verb_of(views[rule.endpoint]) not in known
    ]
    assert silent == []


def test_every_secondary_way_is_a_row() -> None:
    assert {way for ways in SECONDARY.values() for way in ways} <= {name for name, _, _ in entries()}


def test_every_caller_gets_exactly_where_the_table_says(world: World, shut_downs: list[int]) -> None:
    wrong, tried = [], 0
    for caller in world.callers:
        ask = world.client(caller)
        for name, need, kind in sorted(entries(), key=lambda entry: entry[0] == ENDING):
            if name == ENDING and caller.kind == "session":
                continue
            method, rule = name.split(" ", 1)
            answer = ask(method, world.path(rule, kind if method == "GET" else "absent"))
            tried += 1
            if fault := fault_of(caller, need, answer, is_there=method == "GET" and bool(kind)):
                wrong.append(f"{caller.name}: {name}: {fault}")
    assert wrong == []
    assert tried > 4000
    assert len(shut_downs) == sum(
        is_let_in(caller, need)
        for caller in world.callers
        for name, need, _ in entries()
        if need.way is Way.TOKEN
    )


LISTS = ("", "?q=hidden9", "?q=secret-of-hidden9", "?host=hidden9", "?tag=far", "?again={run}", "?kind=call")
NARROW = ("wanda", "rita", "token-by-a-grant", "token-limited-to-a-tag", "admin-token-limited-to-a-tag")
"""Callers to whom only the host ``own`` is open."""


def test_what_is_foreign_is_answered_as_what_is_absent(world: World) -> None:
    absent = {
        "host": "nowhere",
        "run": new_id(),
        "base": "nowhere",
        "place": "nowhere",
        "change": new_id(),
        "person": "nowhere-person",
        "entry": new_id(),
    }
    told = []
    for caller in [world.caller(name) for name in (*NARROW, "nils", "vera", "oskar")]:
        ask = world.client(caller)
        for name, _, kind in entries():
            method, rule = name.split(" ", 1)
            if kind in ("own", "place", "change") or (
                kind in ("host", "run") and caller.name not in ("vera", "oskar")
            ):
                foreign = ask(method, world.path(rule, kind, world.foreign))
                other = ask(method, world.path(rule, kind, dict.fromkeys(world.foreign, new_id()) | absent))
                if same_text(world, foreign) != same_text(world, other) or not is_hidden(foreign, name):
                    told.append(f"{caller.name}: {name}: {foreign.status_code}, absent {other.status_code}")
    assert told == []


def test_lists_counts_and_searches_leave_out_what_is_foreign(world: World) -> None:
    """With the words that would find it, on every page and call that is about no single object."""
    hidden, shown, told = (*HIDDEN, world.foreign["run"]), 0, []
    for caller in [world.caller(name) for name in NARROW]:
        ask = world.client(caller)
        for name, need, kind in entries():
            method, rule = name.split(" ", 1)
            if method != "GET" or kind or not is_let_in(caller, need) or need.way is Way.ANYBODY:
                continue
            for query in LISTS:
                asked = query.format(**world.foreign)
                answer = ask("GET", world.path(rule, "absent").partition("?")[0] + asked)
                text = answer.text.replace(asked.partition("=")[2] or "\0", "")  # pages repeat it
                told += [f"{caller.name}: {rule}{query}: {word}" for word in hidden if word in text]
                shown += world.own["run"] in answer.text
    assert told == []
    assert shown > len(NARROW)


def test_every_event_and_kind_of_room_has_its_entry(world: World) -> None:
    assert world.parts.live.room_kinds == set(ROOMS)
    assert set(world.parts.live.server.handlers[CONSOLE]) == EVENTS


async def test_every_caller_gets_into_exactly_the_rooms_that_the_table_says(world: World) -> None:
    live, wrong = world.parts.live, []
    dispatcher = Dispatcher(nothing, loop=Loop(), sockets=live, startup=[live.start], stopping=[live.stop])
    async with serving(dispatcher) as port:
        for caller in world.callers:
            expected = rooms_of(caller, world)
            async with socket_of(caller, port) as ask:
                found, left = {}, {}
                if ask:
                    found = {room: (await ask("room:join", {"room": room}))["ok"] for room in expected}
                    left = {room: (await ask("room:leave", {"room": room}))["ok"] for room in expected}
                    found["all"] = left["all"] = live.is_watched("all")
            await until(lambda: not live.viewers, "the end of the socket")
            expected["all"] = is_let_in(caller, OWN_ROOMS)
            if caller.kind in ("nobody", "bad"):
                expected = {}
            if not found == left == expected:
                wrong.append(f"{caller.name}: {found}, {left}, {expected}")
        await dispatcher.stop()
    assert wrong == []


async def test_every_caller_watches_exactly_the_hosts_that_it_may_read(world: World) -> None:
    parts, wrong = world.parts, []
    ids = {name: parts.hosts.get(name).id for name in ("own", "hidden9")}
    for host_id in ids.values():
        parts.fleet.take(host_id, Frame(at=1, is_full=True, values={"cpu": 5}), at=1)
    live = parts.live
    dispatcher = Dispatcher(nothing, loop=Loop(), sockets=live, startup=[live.start], stopping=[live.stop])
    async with serving(dispatcher) as port:
        for caller in world.callers:
            sees_all = is_let_in(caller, replace(WATCHED, by_grant=False))
            expected = {ids["own"]} if is_let_in(caller, WATCHED) else set()
            expected |= {ids["hidden9"]} if sees_all and not caller.is_limited else set()
            found: set[str] = set()
            async with socket_of(caller, port) as ask:
                if ask:
                    answer = await ask("figures:watch", {"hosts": [*ids.values(), "absent"]})
                    found = set(answer["hosts"])
            await until(lambda: not live.viewers and not parts.watching.viewers, "the end of the watch")
            if found != expected:
                wrong.append(f"{caller.name}: {found}, {expected}")
        await dispatcher.stop()
    assert wrong == []


def rooms_of(caller: Caller, world: World) -> dict[str, bool]:
    """Return a room of each kind, and of what is foreign, with whether it is open."""
    own, foreign = world.own["run"], world.foreign["run"]
    opens = {kind: is_let_in(caller, need) for kind, need in ROOMS.items()}
    sees_all = is_let_in(caller, replace(ROOMS["run"], by_grant=False))
    return {
        "hosts": opens["hosts"],
        "some-hosts": opens["some-hosts"] and not opens["hosts"],
        "runs": opens["runs"],
        f"run:{own}": opens["run"],
        f"output:{own}/own": opens["output"],
        f"run:{foreign}": sees_all,
        f"output:{foreign}/hidden9": sees_all,
        **dict.fromkeys(("role:administrator", "person:x", "person", "", "*", "/console"), False),
        "run:": sees_all,
    }


@contextlib.asynccontextmanager
async def socket_of(caller: Caller, port: int) -> AsyncIterator[Ask | None]:
    """Open a socket as the caller would; yields what asks for a room, or None where it is refused."""
    headers = {"Origin": f"http://127.0.0.1:{port}"}
    headers |= {"Cookie": f"{SESSION_COOKIE}={caller.cookie}"} if caller.cookie else {}
    headers |= {"Authorization": caller.bearer} if caller.bearer else {}
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    async with connect(url, additional_headers=headers, compression=None, ping_interval=None) as made:

        async def answer(start: str) -> str:
            while not (text := str(await asyncio.wait_for(made.recv(), 5))).startswith(start):
                pass
            return text

        async def ask(event: str, data: Any) -> dict[str, Any]:  # Any: JSON
            await made.send(f"42{CONSOLE},7{json.dumps([event, data])}")
            acknowledged: dict[str, Any] = json.loads((await answer("43")).partition("7")[2])[0]
            return acknowledged

        await answer("0{")
        await made.send(f"40{CONSOLE},")
        yield ask if (await answer("4")).startswith("40") else None


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:  # Any: of the protocol
    raise AssertionError("no request is meant for the web application")


def is_hidden(answer: TestResponse, name: str) -> bool:
    """Tell whether an answer is as that to the absent; closing a toast that is none is no mistake."""
    return answer.status_code in (401, 403, 404) or "/toasts/" in name


def same_text(world: World, answer: TestResponse) -> str:
    """Return an answer without the ids by which two of the same kind differ."""
    names = "|".join(map(re.escape, ("nowhere-person", "nowhere", *world.foreign.values())))
    text = re.sub(rf"\b(?:{names})\b|\b[0-9a-z]{{26}}\b", "ID", answer.text)
    return f"{answer.status_code} {answer.headers.get('Location', '')} {text}"


def fault_of(caller: Caller, need: Need, answer: TestResponse, *, is_there: bool) -> str:
    """Return what is wrong with an answer, or an empty text."""
    status, is_public = answer.status_code, need.way is Way.ANYBODY
    if status >= 500:
        return f"{status}: a fault of the server"
    if caller.kind == "bad":
        return "" if status == 401 else f"{status}, not 401"
    leads_to = urlsplit(answer.headers.get("Location", "")).path
    is_refused = status in (401, 403) or (status == 303 and leads_to == "/sign-in" and not is_public)
    if is_refused and is_let_in(caller, need) and not (is_public and "password" in answer.text):
        return f"{status}, although it is let in: {answer.text[:300]}"
    if not is_refused and not is_let_in(caller, need):
        return f"{status}, although it is kept out"
    if is_there and is_let_in(caller, need) and status == 404:
        return "404, although it is open"
    return ""


def calls(world: World) -> Iterator[tuple[Rule, str]]:
    for rule in world.app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method
