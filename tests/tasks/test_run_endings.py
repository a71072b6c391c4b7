"""Who is told what, when a run ends or takes long."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quarterdeck.core.actors import SYSTEM, Actor, ActorKind, Role
from quarterdeck.core.clock import SystemClock
from quarterdeck.protocol.tasks import CallTask, CommandTask
from quarterdeck.tasks.dispatch.endings import (
    LONG_WITHOUT_PAST_SECONDS,
    Endings,
    end_text,
    long_after_seconds,
)
from quarterdeck.tasks.dispatch.host_run import HostRun
from quarterdeck.tasks.dispatch.jobs import Job, JobHost
from quarterdeck.tasks.dispatch.recorder import Recorder
from quarterdeck.tasks.dispatch.waiting import Waiting
from quarterdeck.tasks.options import RunOptions
from quarterdeck.tasks.output.feed import Feed
from quarterdeck.tasks.past import Usual
from quarterdeck.tasks.records import RunRecord
from quarterdeck.tasks.service import StartRun
from quarterdeck.tasks.states import RunState
from tests.tasks.conftest import ADA, PASSWORD, Node


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


def parts_of(node: Node, run: RunRecord, person: Actor, *names: str) -> tuple[Job, list[HostRun]]:
    """Return a run as it is while it is under way, begun on all but the last of its hosts."""
    master = node.parts.hosts.get("master")
    hosts = tuple(JobHost(replace(master, id=f"id-{name}", name=name)) for name in names)
    job = Job(
        run_id=run.id,
        title="true",
        task=CommandTask("true"),
        fingerprint=run.fingerprint,
        hosts=hosts,
        actor="oskar",
        person_id=person.person_id,
        request_id="-",
        intent_id=run.intent_id,
        timeout_seconds=60,
        created_at=run.created_at,
    )
    parts = [
        HostRun(
            job,
            part,
            output=node.parts.runs.output,
            feed=Feed(node.parts.publish, node.parts.is_watched),
            clock=node.parts.clock,
            changed=lambda _part, _before: None,
        )
        for part in hosts
    ]
    for part in parts[:-1]:
        part.begin()
    return job, parts


def test_the_first_host_that_takes_longer_than_usual_is_told_once_for_all(node: Node) -> None:
    oskar = known_person(node)
    names = [f"web{number}" for number in range(1000)]
    job, parts = parts_of(node, node.run("true", actor=oskar), oskar, *names)
    on_loop(node, endings_of(node, LONG_WITHOUT_PAST_SECONDS + 1).watch(job, parts))
    (toast,) = node.parts.toasts.recent(oskar)
    assert toast.text.startswith("true is still running on web0 after 1 min 1 s")
    assert toast.link == f"/runs/{job.run_id}"


def test_a_host_that_has_not_begun_is_not_late(node: Node) -> None:
    oskar = known_person(node)
    job, (part,) = parts_of(node, node.run("true", actor=oskar), oskar, "web1")
    watching = asyncio.run_coroutine_threadsafe(
        endings_of(node, 5 * LONG_WITHOUT_PAST_SECONDS).watch(job, [part]), node.loop
    )
    with pytest.raises(TimeoutError):
        watching.result(0.3)
    watching.cancel()
    assert node.parts.toasts.recent(oskar) == []


@pytest.mark.parametrize(
    ("state", "tally", "told"),
    [
        (RunState.FAILED, {"failed": 1, "cancelled": 8, "succeeded": 1}, "failed on 1 of 10 hosts."),
        (RunState.SUCCEEDED, {"succeeded": 10}, "succeeded on 10 hosts."),
        (RunState.LOST, {"lost": 2, "failed": 8}, "was lost on 10 hosts."),
        (RunState.CANCELLED, {"cancelled": 4, "succeeded": 6}, "was cancelled on 4 of 10 hosts."),
    ],
)
def test_the_end_is_told_with_the_hosts_it_is_about(
    state: RunState, tally: dict[str, int], told: str
) -> None:
    assert end_text(a_record(state, tally)) == f"true {told}"


def test_a_run_that_was_stopped_says_why_it_went_no_further() -> None:
    record = a_record(RunState.FAILED, {"failed": 1, "cancelled": 9})
    told = end_text(record, "the canary failed on web1.")
    assert told == "true failed on 1 of 10 hosts. It went no further: the canary failed on web1."


def a_record(state: RunState, tally: dict[str, int]) -> RunRecord:
    return RunRecord(
        "r" * 26, "command", "true", CommandTask("true"), "f", state, tally, "", 10, "oskar", None,
        datetime.now(UTC), None, None, 60, RunOptions(), None, None, "-", "i",
    )  # fmt: skip


def test_a_slow_answer_of_an_api_comes_later_with_a_link(node: Node) -> None:
    oskar = known_person(node)
    node.parts.hosts.bases.add_base(ADA, "dead", "http://127.0.0.1:9")
    wanted = StartRun(task=CallTask("GET", "http://127.0.0.1:9/report"))
    run = node.end_of(node.parts.runs.start_run(oskar, wanted).id)
    on_loop(node, endings_of(node, 3).ended(run.id))
    toast = node.parts.toasts.recent(oskar)[0]
    assert toast.text == "GET http://127.0.0.1:9/report failed on master."
    assert toast.link == f"/runs/{run.id}"


def test_what_is_long_follows_the_past_of_the_slowest_host() -> None:
    assert long_after_seconds([]) == LONG_WITHOUT_PAST_SECONDS
    assert long_after_seconds([Usual(1, 2, 5), Usual(30, 40, 5)]) == 40
