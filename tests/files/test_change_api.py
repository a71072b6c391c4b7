"""The JSON API of changes, and the commands over it and on a home."""

import base64
from typing import Any

import pytest
from click.testing import CliRunner

from quarterdeck.core.errors import Invalid
from quarterdeck.files.changes.commands import change as commands
from tests.files.change_world import Browser, World
from tests.files.change_world import repository as repository
from tests.files.change_world import shared as shared
from tests.files.change_world import world as world

APP = "conf/app.yml"
DRAFT = "drafts?path=conf%2Fapp.yml"


def begin(api: Browser, world: World, **more: str) -> dict[str, Any]:
    made = api.call("POST", "/changes", place=world.place, path=APP, **more)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.get_json()
    return answer


def test_whole_flow_over_the_api(world: World) -> None:
    api = world.browser("oskar")
    made = begin(api, world)
    base = f"/changes/{made['id']}"
    assert (made["state"], made["files"][0]["path"], made["person"]) == ("open", APP, "oskar")
    draft = api.call("GET", f"{base}/{DRAFT}").get_json()
    assert (draft["text"], draft["version"], draft["line_end"]) == (draft["original"], 1, "\n")
    saved = api.call("PUT", f"{base}/{DRAFT}", text="port: 81\r\n", version=1).get_json()
    assert (saved["version"], saved["text"], saved["is_waiting"]) == (2, "port: 81\n", True)
    (file,) = api.call("GET", f"{base}/difference").get_json()["files"]
    assert (file["added"], file["removed"]) == (1, 3)
    assert "+port: 81" in file["hunks"][0]["lines"]
    done = api.call("POST", f"{base}/commit", message="Why").get_json()
    assert (done["state"], done["tip"]) == ("committed", world.repository.tip(made["branch"]))
    assert api.call("POST", f"{base}/merge").get_json()["state"] == "merged"
    assert api.call("DELETE", f"{base}/branch").get_json()["has_branch"] is False
    assert world.repository.blob(APP) == b"port: 81\n"


def test_patch_is_one_that_git_applies(world: World) -> None:
    api = world.browser("oskar")
    base = f"/changes/{begin(api, world)['id']}"
    api.call("PUT", f"{base}/{DRAFT}", text="port: 81\nhost: a\nname: x")
    api.call("POST", f"{base}/files", path="conf/new.txt", action="new")
    api.call("PUT", f"{base}/drafts?path=conf%2Fnew.txt", text="new\n")
    patch = api.call("GET", f"{base}/patch").data
    world.repository.git("read-tree", "HEAD")
    world.repository.git("apply", "--cached", stdin=patch)
    assert world.repository.git("show", ":conf/app.yml") == "port: 81\nhost: a\nname: x"
    assert world.repository.git("show", ":conf/new.txt") == "new"


def test_another_window_is_answered_with_both_versions(world: World) -> None:
    api = world.browser("oskar")
    base = f"/changes/{begin(api, world)['id']}"
    api.call("PUT", f"{base}/{DRAFT}", text="one\n", version=1)
    clash = api.call("PUT", f"{base}/{DRAFT}", text="two\n", version=1)
    assert clash.status_code == 409
    problem = clash.get_json()
    assert (problem["version"], problem["text"]) == (2, "one\n")
    assert api.call("PUT", f"{base}/{DRAFT}", text="two\n", version=2).get_json()["version"] == 3


def test_bytes_are_sent_and_read_as_they_are(world: World) -> None:
    api = world.browser("oskar")
    base = f"/changes/{begin(api, world)['id']}"
    content = bytes(range(256))
    sent = api.call("PUT", f"{base}/{DRAFT}", content_base64=base64.b64encode(content).decode())
    assert (sent.get_json()["text"], sent.get_json()["why"]) == (None, "binary")
    read = api.call("GET", f"{base}/download?path=conf%2Fapp.yml")
    assert read.data == content
    assert read.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "content_base64": "YQ=="},
        {"content_base64": "no base64!"},
        {"text": "a", "version": 0},
    ],
)
def test_drafts_that_make_no_sense_are_refused(world: World, body: dict[str, Any]) -> None:
    api = world.browser("oskar")
    base = f"/changes/{begin(api, world)['id']}"
    assert api.call("PUT", f"{base}/{DRAFT}", **body).status_code == 422


def test_moved_target_is_solved_over_the_api(world: World) -> None:
    api = world.browser("oskar")
    base = f"/changes/{begin(api, world)['id']}"
    api.call("PUT", f"{base}/{DRAFT}", text="port: 81\nhost: a\nname: x\n")
    assert api.call("GET", f"{base}/conflict?path=conf%2Fapp.yml").status_code == 404
    world.repository.commit({APP: b"port: 90\nhost: a\nname: x\n"})
    moved = api.call("POST", f"{base}/commit", message="Mine")
    problem = moved.get_json()
    assert (moved.status_code, problem["cause"], problem["paths"]) == (409, "target-moved", [APP])
    conflict = api.call("GET", f"{base}/conflict?path=conf%2Fapp.yml").get_json()
    number = next(each["number"] for each in conflict["hunks"] if each["kind"] == "conflict")
    seen = {name: conflict[name] for name in ("commit", "side", "version")}
    at = f"{base}/conflict?path=conf%2Fapp.yml"
    assert api.call("POST", at, **seen).status_code == 422
    assert api.call("POST", at, **seen, choices={str(number): "theirs"}).status_code == 200
    assert api.call("POST", f"{base}/commit", message="Mine").status_code == 409  # nothing is left to commit


def test_second_begin_answers_the_change_there_is(world: World) -> None:
    api = world.browser("oskar")
    made = begin(api, world)
    again = api.call("POST", "/changes", place=world.place, path=APP)
    assert (again.status_code, again.get_json()["id"]) == (200, made["id"])


def test_list_pages_by_cursor(world: World) -> None:
    api = world.browser("oskar")
    for path in (APP, "run.sh", "conf/win.ini"):
        assert api.call("POST", "/changes", place=world.place, path=path).status_code == 201
    seen, cursor = [], ""
    for _ in range(3):
        page = api.call("GET", f"/changes?place={world.place}&limit=1&cursor={cursor}").get_json()
        seen += [each["files"][0]["path"] for each in page["changes"]]
        cursor = page["next_cursor"] or ""
    assert (seen, cursor) == (["conf/win.ini", "run.sh", APP], "")
    assert api.call("GET", "/changes?limit=0").status_code == 422


def test_no_answer_holds_what_is_not_told(world: World) -> None:
    api = world.browser("oskar")
    made = begin(api, world)
    assert not {"person_id", "place_id", "pending"} & set(made)


@pytest.mark.parametrize(
    "path", ["message", "branch", "author", "a\u00e4\u4e2d", "=cmd", "<b>x</b>", "%2e%2e"]
)
def test_odd_names_are_names_of_files_and_nothing_else(world: World, path: str) -> None:
    api = world.browser("oskar")
    made = api.call("POST", "/changes", place=world.place, path=path, action="new").get_json()
    world.save(world.changes.get(world.actor("oskar"), made["id"]), "<script>1</script>\n", path)
    done = api.call("POST", f"/changes/{made['id']}/commit", message="<i>message</i>").get_json()
    assert world.repository.blob(path, done["branch"]) == b"<script>1</script>\n"
    for page in ("", "/difference", "/commit"):
        text = world.browser("vera").get(f"/files/changes/{made['id']}{page}").text
        assert not any(tag in text for tag in ("<b>x", "<script>1", "<i>message"))
    csv = api.get(f"/files/changes.csv?place={world.place}").text
    assert ",=cmd" not in csv


class Node:
    """What the commands get of a home."""

    def __init__(self, world: World) -> None:
        self.changes, self.actor = world.changes, world.actor("oskar")


def run(node: object, *words: str, given: bytes = b"") -> str:
    done = CliRunner().invoke(commands, list(words), obj=node, input=given)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_whole_flow_by_commands(world: World) -> None:
    node = Node(world)
    id_ = run(node, "begin", world.place, APP).strip()
    run(node, "put", id_, APP, given=b"port: 81\n")
    assert "+port: 81" in run(node, "show", id_)
    commit = run(node, "commit", id_, "-m", "Why").strip()
    assert commit == world.changes.get(node.actor, id_).tip
    assert run(node, "list", "--place", world.place).split("\t")[:2] == [id_, "committed"]
    run(node, "merge", id_)
    assert run(node, "list", "--place", world.place) == ""
    again = run(node, "begin", world.place, "run.sh", "--action", "delete").strip()
    run(node, "discard", again)
    states = [
        line.split("\t")[1]
        for line in run(node, "list", "--state", "all", "--place", world.place).splitlines()
    ]
    assert states == ["discarded", "merged"]
    with pytest.raises(Invalid):
        run(node, "list", "--state", "odd")
