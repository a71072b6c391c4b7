"""Who is told what, when a run ends or takes long."""

import asyncio
from datetime import timedelta
from typing import Any

from quarterdeck.core.actors import SYSTEM, Actor, ActorKind, Role
from quarterdeck.core.clock import SystemClock
from quarterdeck.protocol.tasks import CommandTask
from quarterdeck.tasks.endings import LONG_WITHOUT_PAST_SECONDS, Endings, long_after_seconds
from quarterdeck.tasks.jobs import Job
from quarterdeck.tasks.past import Usual
from quarterdeck.tasks.recorder import Recorder
from quarterdeck.tasks.waiting import Waiting
from tests.tasks.conftest import PASSWORD, Node


class LaterClock(SystemClock):
    """A clock that is ahead by so many seconds."""

    def __init__(self, ahead_seconds: float) -> None:
        self._ahead = timedelta(seconds=ahead_seconds)

    def now(self) -> Any:
        return super().now() + self._ahead


def known_person(node: Node) -> Actor:
    person = node.parts.access.add_person(SYSTEM, "oskar", role=Role.OPERATOR, password=PASSWORD)
    return Actor(ActorKind.PERSON, "oskar", role=Role.OPERATOR, person_id=person.id)


def endings_of(node: Node, ahead_seconds: float) -> Endings:
    parts = node.parts
    return Endings(
        db=parts.db,
        history=parts.history,
        toasts=parts.toasts,
        recorder=Recorder(parts.db, parts.publish),
        waiting=Waiting(),
        clock=LaterClock(ahead_seconds),
    )


def on_loop(node: Node, work: Any) -> None:
    asyncio.run_coroutine_threadsafe(work, node.loop).result(10)


def test_a_quick_run_tells_nobody(node: Node) -> None:
    oskar = known_person(node)
    node.run("true", actor=oskar)
    assert node.parts.toasts.recent(oskar) == []


def test_the_end_of_a_run_that_took_long_is_told_to_its_starter(node: Node) -> None:
    oskar = known_person(node)
    run = node.run("exit 1", actor=oskar)
    on_loop(node, endings_of(node, 11).ended(run.id))
    (toast,) = node.parts.toasts.recent(oskar)
    assert toast.text == "exit 1 failed on master."
    assert (toast.level, toast.link) == ("error", f"/runs/{run.id}")


def test_a_run_that_passes_its_limit_of_what_is_usual_is_told_once(node: Node) -> None:
    oskar = known_person(node)
    run = node.run("true", actor=oskar)
    job = Job(
        run_id=run.id,
        title="true",
        task=CommandTask("true"),
        fingerprint=run.fingerprint,
        hosts=(),
        actor="oskar",
        person_id=oskar.person_id,
        request_id="-",
        intent_id=run.intent_id,
        timeout_seconds=60,
        created_at=run.created_at,
    )
    on_loop(node, endings_of(node, LONG_WITHOUT_PAST_SECONDS + 1).watch(job))
    (toast,) = node.parts.toasts.recent(oskar)
    assert toast.text.startswith("true is still running after 61 s")


def test_what_is_long_follows_the_past_of_the_slowest_host() -> None:
    assert long_after_seconds([]) == LONG_WITHOUT_PAST_SECONDS
    assert long_after_seconds([Usual(1, 2, 5), Usual(30, 40, 5)]) == 40
