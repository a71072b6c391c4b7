"""The JSON API of runs: its fixed shapes, who may call it, and what it refuses."""

from collections.abc import Callable

import pytest
from flask import Flask

from tests.deck import wait_until
from tests.tasks.conftest import Api, Node

ApiAs = Callable[[str], Api]
COMMAND = {"kind": "command", "command": "echo out; echo err >&2; exit 3"}


def test_a_run_is_started_and_read(api_as: ApiAs, node: Node) -> None:
    api = api_as("oskar")
    started = api("POST", "/runs", json={"task": COMMAND, "hosts": ["master"]})
    assert started.status_code == 201
    run_id = started.json["id"]
    assert started.headers["Location"] == f"/api/v1/runs/{run_id}"
    assert [host["name"] for host in started.json["hosts"]] == ["master"]
    node.parts.runs.wait(run_id, 30)
    run = api("GET", f"/runs/{run_id}").json
    (host,) = run["hosts"]
    assert (run["state"], run["task"], run["actor"]) == ("failed", COMMAND, "token:oskar/test")
    assert (host["state"], host["exit_status"], host["bytes"]) == ("failed", 3, 8)
    assert run["started_at"] <= run["finished_at"]
    listed = api("GET", "/runs?state=failed&host=master").json
    assert [each["id"] for each in listed["runs"]] == [run_id]


def test_output_is_read_by_stream_offset_and_range(api_as: ApiAs, node: Node) -> None:
    api = api_as("vera")
    run = node.run("seq 1000; echo err >&2")
    path = f"/runs/{run.id}/output?host=master"
    whole = api("GET", path)
    assert whole.content_type == "text/plain; charset=utf-8"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.data == b"".join(b"%d\n" % number for number in range(1, 1001))
    assert api("GET", f"{path}&stream=err").data == b"err\n"
    assert api("GET", f"/runs/{run.id}/output?from=3000").data == whole.data[3000:]
    part = api("GET", path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.data) == (206, whole.data[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole.data)}"
    assert api("GET", path, headers={"Range": "bytes=-5"}).data == whole.data[-5:]
    beyond = api("GET", path, headers={"Range": "bytes=999999-"})
    assert (beyond.status_code, beyond.content_type) == (416, "application/problem+json")
    assert beyond.headers["Content-Range"] == f"bytes */{len(whole.data)}"
    attached = api("GET", f"{path}&download=true").headers["Content-Disposition"]
    assert attached == f'attachment; filename="{run.id}-master.out.txt"'


def test_a_long_output_is_streamed_whole(api_as: ApiAs, node: Node) -> None:
    run = node.run("head -c 3000000 /dev/zero | tr '\\0' x")
    answer = api_as("vera")("GET", f"/runs/{run.id}/output")
    assert answer.content_length == 3_000_000
    assert answer.data == b"x" * 3_000_000


def test_the_same_again_is_a_conflict_that_names_the_first(api_as: ApiAs) -> None:
    api = api_as("oskar")
    body = {"task": {"kind": "command", "command": "sleep 30"}, "hosts": ["master"]}
    first = api("POST", "/runs", json=body).json
    second = api("POST", "/runs", json=body)
    assert second.status_code == 409
    assert second.content_type == "application/problem+json"
    assert second.json["duplicate_of"] == first["id"]
    assert second.json["started_by"] == "token:oskar/test"
    assert second.json["hosts"] == ["master"]
    assert "reason" in api("POST", "/runs", json=body | {"force": True}).json["errors"]
    forced = api("POST", "/runs", json=body | {"force": True, "reason": "it hangs"})
    assert (forced.status_code, forced.json["reason"]) == (201, "it hangs")


def test_cancel_is_accepted_and_its_proof_follows(api_as: ApiAs, node: Node) -> None:
    api = api_as("oskar")
    run = node.start("echo begun; sleep 300")
    wait_until(lambda: node.output(run.id) == b"begun\n", "the command to run")
    assert api("POST", f"/runs/{run.id}/cancel").status_code == 202
    node.parts.runs.wait(run.id, 30)
    ended = api("GET", f"/runs/{run.id}").json
    assert (ended["state"], ended["hosts"][0]["gone"]) == ("cancelled", True)
    assert api("POST", f"/runs/{run.id}/cancel").status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"task": {"kind": "command", "command": ""}, "hosts": ["master"]}, "task.command.command"),
        ({"task": {"kind": "command"}, "hosts": ["master"]}, "task.command.command"),
        ({"task": {"kind": "nonsense"}, "hosts": ["master"]}, "task"),
        ({"task": {"kind": "builtin", "name": "rm"}, "hosts": ["master"]}, "task.builtin.name"),
        ({"task": COMMAND, "hosts": "master"}, "hosts"),
        ({"task": COMMAND, "hosts": []}, "hosts"),
        ({"task": COMMAND, "hosts": ["no-such"]}, "hosts"),
        ({"task": COMMAND, "hosts": ["-oProxyCommand=x"]}, "hosts"),
        ({"task": COMMAND, "tags": ["no-such"]}, "tags"),
        ({"task": COMMAND, "hosts": ["master"], "timeout_seconds": 0}, "timeout_seconds"),
        ({"task": COMMAND, "hosts": ["master"], "more": 1}, "more"),
        ({"task": {"kind": "prepared", "name": "x"}, "hosts": ["master"]}, "task.kind"),
        ({"task": {"kind": "call", "url": "https://example.org/"}}, "url"),
    ],
)
def test_bad_input_is_a_problem_with_the_field(
    api_as: ApiAs, body: dict[str, object], field: str, node: Node
) -> None:
    answer = api_as("ada")("POST", "/runs", json=body)
    assert answer.status_code == 422
    assert field in answer.json["errors"]
    assert node.parts.runs.counts().today == 0


def test_viewers_read_but_start_and_cancel_nothing(api_as: ApiAs, node: Node) -> None:
    vera = api_as("vera")
    run = node.start("sleep 30")
    assert vera("GET", f"/runs/{run.id}").status_code == 200
    assert vera("POST", "/runs", json={"task": COMMAND, "hosts": ["master"]}).status_code == 403
    assert vera("POST", f"/runs/{run.id}/cancel").status_code == 403


@pytest.mark.parametrize("path", ["", "/output?host=master", "/output?host=../../etc&stream=out"])
def test_what_is_not_there_is_not_found(api_as: ApiAs, path: str) -> None:
    assert api_as("ada")("GET", f"/runs/{'0' * 26}{path}").status_code == 404


def test_lists_refuse_unknown_filters_and_states(api_as: ApiAs) -> None:
    api = api_as("vera")
    for query in ("state=sideways", "colour=red", "limit=0", "cursor=../x"):
        assert api("GET", f"/runs?{query}").status_code == 422


def test_nobody_is_asked_to_sign_in(app: Flask) -> None:
    assert app.test_client().get("/api/v1/runs").status_code == 401
    assert app.test_client().post("/tasks/process", json={}).status_code == 401
