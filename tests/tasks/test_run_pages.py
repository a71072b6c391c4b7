"""The pages of runs, without a browser: what stands on them, for whom, and what the form refuses."""

import html
import re
from collections.abc import Callable

import pytest

from quarterdeck.tasks.states import RunState
from tests.deck import wait_until
from tests.tasks.conftest import ADA, Browser, Node, found

As = Callable[[str], Browser]


def text_of(page: str) -> str:
    """Return what a reader sees, tags and doubled spaces taken out."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def test_the_form_starts_a_run_and_goes_to_its_output(as_: As, node: Node) -> None:
    oskar = as_("oskar")
    answer = oskar.post("/runs", kind="command", command="echo 'one\r\ntwo'", hosts="master")
    assert answer.status_code == 303
    run_id = found(r"^/runs/([0-9a-z]{26})#output$", answer.location)
    assert node.end_of(run_id).state is RunState.SUCCEEDED
    assert node.output(run_id) == b"one\ntwo\n"
    page = text_of(oskar.get(f"/runs/{run_id}").text)
    for word in ("succeeded", "exit 0", "by oskar", "one two"):
        assert word in page


def test_a_mistake_keeps_what_was_typed_and_says_what_is_wrong(as_: As) -> None:
    answer = as_("oskar").post("/runs", kind="command", command="df -h / # mine", timeout_seconds="soon")
    assert answer.status_code == 422
    assert "df -h / # mine" in html.unescape(answer.text)
    assert 'href="#field-timeout_seconds"' in answer.text
    assert "This must be a whole number." in answer.text


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "command", "command": "", "hosts": "master"}, "command"),
        ({"kind": "command", "command": "true"}, "hosts"),
        ({"kind": "builtin", "hosts": "master"}, "name"),
        (
            {"kind": "builtin", "name": "top-memory", "arguments.count": "x", "hosts": "master"},
            "arguments.count",
        ),
        ({"kind": "call", "method": "GET", "url": "https://example.org/"}, "url"),
        ({"kind": "call", "method": "GET", "url": "/health", "headers": "no colon"}, "headers"),
    ],
)
def test_each_mistake_is_linked_to_its_field(as_: As, fields: dict[str, str], field: str) -> None:
    answer = as_("oskar").post("/runs", **fields)
    assert answer.status_code == 422
    assert f'href="#field-{field}"' in answer.text
    assert f'id="field-{field}"' in answer.text


@pytest.mark.parametrize("fields", [{}, {"hosts": "master"}, {"kind": "odd"}])
def test_a_form_without_a_kind_of_task_is_no_fault_of_the_server(as_: As, fields: dict[str, str]) -> None:
    assert as_("oskar").post("/runs", **fields).status_code == 404


def test_arguments_of_another_builtin_are_left_out(as_: As, node: Node) -> None:
    fields = {"kind": "builtin", "name": "uptime", "arguments.count": "5", "hosts": "master"}
    assert as_("oskar").post("/runs", **fields).status_code == 303


def test_the_same_again_shows_who_and_keeps_the_form(as_: As, node: Node) -> None:
    first = node.start("sleep 30", actor=ADA)
    oskar = as_("oskar")
    answer = oskar.post("/runs", kind="command", command="sleep 30", hosts="master")
    assert answer.status_code == 409
    page = text_of(answer.text)
    assert "The same is running already" in page
    assert re.search(r"ada started it (just now|\d+ s ago) on master", page)
    assert f'href="/runs/{first.id}#output"' in answer.text
    assert "sleep 30</textarea>" in answer.text
    assert oskar.post("/runs", kind="command", command="sleep 30", hosts="master").status_code == 409
    again = {"kind": "command", "command": "sleep 30", "hosts": "master", "force": "true"}
    without = oskar.post("/runs", **again, reason="").text
    assert "Say why" in without
    assert 'id="field-reason"' in without
    assert oskar.post("/runs", **again, reason="it hangs").status_code == 303


def test_run_again_fills_the_form_in(as_: As, node: Node) -> None:
    run = node.run("echo a\necho b", timeout_seconds=77)
    page = as_("oskar").get(f"/runs/new?again={run.id}").text
    assert "echo a\necho b</textarea>" in page
    assert re.search(r'name="hosts" value="master" checked', page)
    assert 'value="77"' in page


def test_hosts_and_tags_in_the_address_are_chosen(as_: As) -> None:
    page = as_("oskar").get("/runs/new?host=master&tag=own").text
    assert re.search(r'name="hosts" value="master" checked', page)
    assert re.search(r'name="tags" value="own" checked', page)


def test_the_address_of_an_api_base_is_filled_in(as_: As) -> None:
    page = as_("oskar").get("/runs/new?kind=call&url=https%3A//api.example.org/v2").text
    assert re.search(r'name="url"[^>]* value="https://api.example.org/v2"', page)


def test_output_is_text_whatever_it_says(as_: As, node: Node) -> None:
    run = node.run("printf '<script>alert(1)</script>\\033[31mred\\033[0m\\n'; echo '<b>err' >&2")
    page = as_("vera").get(f"/runs/{run.id}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert '<span class="fg-1">red</span>' in page
    assert re.search(r'class="line stderr".*?<span class="line-s">err</span>', page)
    assert "<script>alert" not in page


def test_streams_are_shown_apart_by_link(as_: As, node: Node) -> None:
    run = node.run("echo to-out; echo to-err >&2")
    vera = as_("vera")
    only_err = vera.get(f"/runs/{run.id}?host=master&stream=err").text
    assert ">to-err<" in only_err
    assert ">to-out<" not in only_err
    assert ">to-out<" in vera.get(f"/runs/{run.id}?host=master&stream=out").text


def test_downloads_are_plain_text_attachments(as_: As, node: Node) -> None:
    run = node.run("echo '<html>'")
    answer = as_("vera").get(f"/runs/{run.id}/output?host=master&stream=out")
    assert answer.data == b"<html>\n"
    assert answer.content_type.startswith("text/plain")
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_without_script_a_running_page_loads_itself_anew(as_: As, node: Node) -> None:
    run = node.start("sleep 30")
    vera = as_("vera")
    assert '<noscript><meta http-equiv="refresh"' in vera.get(f"/runs/{run.id}").text
    node.parts.runs.cancel_run(ADA, run.id)
    node.end_of(run.id)
    assert "http-equiv" not in vera.get(f"/runs/{run.id}").text


def test_cancel_is_a_form_for_those_who_may(as_: As, node: Node) -> None:
    run = node.start("echo begun; sleep 300")
    wait_until(lambda: node.output(run.id) == b"begun\n", "the command to run")
    assert f'action="/runs/{run.id}/cancel"' not in as_("vera").get(f"/runs/{run.id}").text
    oskar = as_("oskar")
    assert f'action="/runs/{run.id}/cancel"' in oskar.get(f"/runs/{run.id}").text
    assert oskar.post(f"/runs/{run.id}/cancel").status_code == 303
    assert node.end_of(run.id).state is RunState.CANCELLED
    assert "Proved gone" in oskar.get(f"/runs/{run.id}").text


def test_the_list_filters_by_the_address_and_gives_its_rows_alone(as_: As, node: Node) -> None:
    good, bad = node.run("echo good"), node.run("echo bad; exit 1")
    vera = as_("vera")
    page = vera.get("/runs?state=failed").text
    assert bad.id in page
    assert good.id not in page
    rows = vera.get("/runs?state=failed", headers={"HX-Request": "true"}).text
    assert bad.id in rows
    assert "<html" not in rows
    assert "No run matches" in vera.get("/runs?q=nothing-like-this").text
    assert vera.get("/runs?state=sideways").status_code == 422


def test_viewers_see_no_way_to_start(as_: As) -> None:
    vera = as_("vera")
    assert 'href="/runs/new"' not in vera.get("/runs").text
    assert vera.get("/runs/new").status_code == 403
    assert vera.post("/runs", kind="command", command="true", hosts="master").status_code == 403


@pytest.mark.parametrize("path", ["/runs", "/runs/new"])
def test_who_has_no_role_sees_no_runs(as_: As, path: str) -> None:
    assert as_("nils").get(path).status_code == 403
    assert as_("").get(path).status_code == 303
