"""A start that is sent again under the same key is the same run."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from quarterdeck.core.actors import SYSTEM, Level
from quarterdeck.history.query import HistoryQuery
from quarterdeck.tasks.idempotency import HEADER
from quarterdeck.tasks.models import IdempotencyKey
from tests.deck import wait_until
from tests.tasks.conftest import Answer, Api, Node

ApiAs = Callable[[str], Api]
BODY: dict[str, Any] = {"task": {"kind": "command", "command": "echo once"}, "hosts": ["master"]}


def send(api: Api, key: str, **changes: Any) -> Answer:
    return api("POST", "/runs", json=BODY | changes, headers={HEADER: key})


def keys(node: Node) -> int:
    with node.parts.db.read() as session:
        return session.scalar(select(func.count()).select_from(IdempotencyKey)) or 0


def test_the_same_key_with_the_same_body_is_the_same_run(api_as: ApiAs, node: Node) -> None:
    api = api_as("oskar")
    first = send(api, "deploy-7")
    assert (first.status_code, first.headers.get("Idempotent-Replayed")) == (201, None)
    node.end_of(first.json["id"])
    second = send(api, "deploy-7")
    assert (second.status_code, second.headers["Idempotent-Replayed"]) == (201, "true")
    assert (second.json["id"], second.json["state"]) == (first.json["id"], "succeeded")
    assert second.headers["Location"] == first.headers["Location"]
    assert node.parts.runs.counts().today == 1


def test_the_order_of_members_does_not_matter(api_as: ApiAs) -> None:
    api = api_as("oskar")
    first = send(api, "k")
    turned = dict(reversed(list(BODY.items())))
    second = api("POST", "/runs", json=turned, headers={HEADER: "k"})
    assert second.json["id"] == first.json["id"]


def test_another_body_under_the_same_key_is_refused(api_as: ApiAs, node: Node) -> None:
    api = api_as("oskar")
    send(api, "k")
    for changes in ({"task": {"kind": "command", "command": "echo twice"}}, {"options": {"canary": 1}}):
        answer = send(api, "k", **changes)
        assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
        assert "another body" in answer.json["errors"][HEADER]
    assert node.parts.runs.counts().today == 1


@pytest.mark.parametrize("key", ["", "a b", "k" * 201, "schlüssel", "tab\tbed"])
def test_what_can_not_be_a_key_is_refused(api_as: ApiAs, node: Node, key: str) -> None:
    answer = send(api_as("oskar"), key)
    assert answer.status_code == 422
    assert HEADER in answer.json["errors"]
    assert node.parts.runs.counts().today == 0


def test_the_longest_key_is_taken(api_as: ApiAs) -> None:
    assert send(api_as("oskar"), "!" * 199 + "~").status_code == 201


def test_a_key_is_its_owner_s_whichever_token_sends_it(api_as: ApiAs, node: Node) -> None:
    oskar = api_as("oskar")
    first = send(oskar, "k")
    other = node.parts.access.create_token(SYSTEM, "oskar", "other", Level.RUN).secret
    assert send(Api(oskar.client.application, other), "k").json["id"] == first.json["id"]
    ada = send(api_as("ada"), "k", force=True, reason="it is hers")
    assert ada.status_code == 201
    assert ada.json["id"] != first.json["id"]


def test_viewers_start_nothing_by_a_key(api_as: ApiAs) -> None:
    send(api_as("oskar"), "k")
    assert send(api_as("vera"), "k").status_code == 403


def test_a_refused_start_does_not_use_up_its_key(api_as: ApiAs, node: Node) -> None:
    api = api_as("oskar")
    running = node.start("sleep 30")
    again = {"task": {"kind": "command", "command": "sleep 30"}}
    assert send(api, "k", **again).status_code == 409
    assert keys(node) == 0
    node.parts.runs.cancel_run(SYSTEM, running.id)
    node.end_of(running.id)
    started = send(api, "k")
    assert started.status_code == 201
    node.end_of(started.json["id"])


def test_simultaneous_twins_give_one_run(api_as: ApiAs, node: Node) -> None:
    oskar = api_as("oskar")
    secret = oskar.headers["Authorization"].partition(" ")[2]
    apis = [Api(oskar.client.application, secret) for _ in range(16)]
    ready, answers = threading.Barrier(len(apis)), []

    def press(api: Api) -> None:
        ready.wait()
        answers.append(send(api, "k"))

    threads = [threading.Thread(target=press, args=(api,)) for api in apis]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 1
    replayed = Counter(answer.headers.get("Idempotent-Replayed") for answer in answers)
    assert replayed == {None: 1, "true": len(apis) - 1}
    node.end_of(answers[0].json["id"])
    wait_until(lambda: kinds(node)["intent"] == kinds(node)["outcome"], "each intent to have its outcome")


def kinds(node: Node) -> Counter[str]:
    page = node.parts.history.page(HistoryQuery(action="task.run", limit=100))
    return Counter(str(entry.kind) for entry in page.entries)


def test_a_key_is_kept_for_a_day(api_as: ApiAs, node: Node) -> None:
    api = api_as("oskar")
    first = send(api, "k")
    node.end_of(first.json["id"])
    with node.parts.db.write() as session:
        long_ago = node.parts.clock.now() - timedelta(hours=24, seconds=1)
        session.execute(update(IdempotencyKey).values(created_at=long_ago))
    second = send(api, "k", force=True, reason="a day later")
    assert second.status_code == 201
    assert second.json["id"] != first.json["id"]
    assert keys(node) == 1
