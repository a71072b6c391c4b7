"""The pages of changes, as a browser without JavaScript uses them, and what goes wrong on them."""

import io
import re
from urllib.parse import quote

import pytest

from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.models import ChangeState
from tests.files.change_world import World
from tests.files.change_world import repository as repository
from tests.files.change_world import shared as shared
from tests.files.change_world import world as world

APP = "conf/app.yml"
EDIT = f"edit?path={quote(APP, safe='')}"


def url(change: ChangeRecord, page: str = "") -> str:
    return f"/files/changes/{change.id}" + (f"/{page}" if page else "")


def begin(world: World, **values: str) -> str:
    """Press a button of the page of a file; returns where it leads."""
    form = {"path": APP, "ref": "main", "commit": world.repository.tip(), "action": "update"} | values
    answer = world.browser("oskar").post(f"/files/{world.place}/new", **form)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def test_whole_flow_by_forms_alone(world: World) -> None:
    browser = world.browser("oskar")
    editor = begin(world)
    page = browser.get(editor)
    assert "port: 80" in page.text
    version = re.search(r'name="version" value="(\d+)"', page.text)
    assert version
    text = "port: 81\r\nhost: a\r\nname: x\r\n"
    saved = browser.post(editor, text=text, version=version[1], next="difference")
    assert saved.status_code == 303
    difference = browser.get(saved.headers["Location"])
    assert "81" in difference.text
    change_url = editor.rpartition("/")[0]
    assert "Commit" in browser.get(f"{change_url}/commit").text
    done = browser.post(f"{change_url}/commit", message="To 81")
    assert done.headers["Location"] == f"{change_url}?committed=yes"
    overview = browser.get(f"{change_url}?committed=yes")
    assert "Merge into main" in overview.text
    assert browser.post(f"{change_url}/merge").status_code == 303
    assert world.repository.blob(APP) == b"port: 81\nhost: a\nname: x\n"
    assert "Remove the branch" in browser.get(change_url).text
    assert browser.post(f"{change_url}/remove-branch").status_code == 303
    assert world.branches() == ["main"]


def test_whoever_looks_after_a_merge_sees_what_was_merged(world: World) -> None:
    browser, view = world.browser("oskar"), f"/files/{world.place}/view?ref=main&path={quote(APP)}"
    change = world.changed("port: 8081\n")
    world.commit(change)
    assert "8081" not in browser.get(view).text
    assert browser.post(url(change, "merge")).status_code == 303
    assert "8081" in browser.get(view).text


def test_new_file_is_asked_for_its_path(world: World) -> None:
    browser = world.browser("oskar")
    assert 'value="conf/"' in browser.get(f"/files/{world.place}/new?ref=main&path=conf").text
    bad = browser.post(f"/files/{world.place}/new", path="../x", action="new")
    assert (bad.status_code, 'value="../x"' in bad.text) == (422, True)
    taken = browser.post(f"/files/{world.place}/new", path=APP, action="new")
    assert taken.status_code == 409
    editor = begin(world, path="conf/n.yml", action="new", commit="")
    assert browser.get(editor).status_code == 200


def test_rename_asks_first_and_delete_leads_to_its_commit(world: World) -> None:
    browser = world.browser("oskar")
    asked = browser.post(f"/files/{world.place}/new", path="run.sh", ref="main", action="rename")
    assert (asked.status_code, 'name="new_path"' in asked.text) == (200, True)
    begin(world, path="run.sh", action="rename", new_path="bin/run")
    commit = begin(world, path="data.bin", action="delete")
    assert commit.endswith("/commit")
    assert "Deleted" in browser.get(commit).text


def test_file_of_a_tag_is_changed_on_the_places_own_branch(world: World) -> None:
    world.repository.git("tag", "v1")
    world.repository.commit({APP: b"newer\n"})
    editor = begin(world, ref="v1", commit=world.repository.git("rev-parse", "v1"))
    assert "newer" in world.browser("oskar").get(editor).text


def test_text_of_another_window_is_not_written_over(world: World) -> None:
    change = world.changed("first\n")
    browser = world.browser("oskar")
    clash = browser.post(url(change, EDIT), text="mine <b>\r\n", version="1", next="commit")
    assert clash.status_code == 409
    assert "mine &lt;b&gt;" in clash.text
    assert "first" in clash.text
    again = re.search(r'name="version" value="(\d+)"', clash.text)
    assert again
    assert browser.post(url(change, EDIT), text="mine\n", version=again[1]).status_code == 303


def test_text_that_cannot_be_saved_is_on_the_page_again(world: World) -> None:
    change = world.begin()
    browser = world.browser("oskar")
    large = browser.post(url(change, EDIT), text="x" * 1_100_000)
    assert (large.status_code, "x" * 1_000 in large.text) == (413, True)
    bad = browser.post(url(change, EDIT), text="kept", version="one")
    assert (bad.status_code, "kept" in bad.text) == (422, True)


def test_text_of_a_megabyte_passes_the_form(world: World) -> None:
    change, line = world.begin(), "a line of a file äöü\r\n"
    text = line * (1_000_000 // len(line.encode()))
    data = {"text": text, "next": "download", "file": (io.BytesIO(b""), "")}
    saved = world.browser("oskar").post(url(change, EDIT), **data)
    saved.request.environ["wsgi.input"].close()  # a file of the client's own, for a body as large as this
    assert saved.status_code == 303
    download = world.browser("oskar").get(saved.headers["Location"])
    assert download.data == text.replace("\r\n", "\n").encode()
    assert download.headers["Content-Disposition"].startswith("attachment")
    assert download.mimetype == "application/octet-stream"


def test_file_is_uploaded_in_place_of_a_text(world: World) -> None:
    change = world.begin(path="data.bin")
    browser = world.browser("oskar")
    path = "edit?path=data.bin"
    assert "no text" in browser.get(url(change, path)).text
    sent = browser.post(url(change, path), file=(io.BytesIO(b"\x00new"), "any.bin"), version="1")
    assert sent.status_code == 303
    assert world.changes.download(world.actor("oskar"), change.id, "data.bin")[1] == b"\x00new"


def test_second_click_on_commit_commits_nothing_more(world: World) -> None:
    change = world.changed("one\n")
    browser = world.browser("oskar")
    for _ in range(2):
        done = browser.post(url(change, "commit"), message="Once", tip=change.tip)
        assert done.status_code == 303
    assert world.commits(change.branch) == ["Once", "Begin"]


def test_moved_target_leads_to_the_conflict_and_back(world: World) -> None:
    change = world.changed("port: 81\nhost: a\nname: x\n")
    world.repository.commit({APP: b"port: 90\nhost: a\nname: x\n"})
    browser = world.browser("oskar")
    moved = browser.post(url(change, "commit"), message="Mine")
    assert (moved.status_code, "Take it in now" in moved.text, ">Mine<" in moved.text.replace("\n", "")) == (
        409, True, True,
    )  # fmt: skip
    to = browser.get(url(change, "conflict")).headers["Location"]
    page = browser.get(to).text
    hidden = dict(re.findall(r'name="(commit|side|version)" value="([^"]+)"', page))
    number = re.search(r'name="choice-(\d+)"', page)
    assert number
    undecided = browser.post(to, **hidden)
    assert (undecided.status_code, f"#conflict-{number[1]}" in undecided.text) == (422, True)
    done = browser.post(to, **hidden, **{f"choice-{number[1]}": "own", f"own-{number[1]}": "port: 99\r\n"})
    assert done.headers["Location"] == url(change, "commit")
    assert browser.post(url(change, "commit"), message="Both").status_code == 303
    assert world.blob(world.get(change)) == b"port: 99\nhost: a\nname: x\n"


def test_list_is_filtered_and_exported(world: World) -> None:
    change = world.changed("one\n")
    world.commit(world.changed("two\n", "ada"), "ada")
    vera, place = world.browser("vera"), f"place={world.place}"
    rows = vera.get(f"/files/changes?{place}").text
    assert (rows.count("/difference"), "oskar" in rows, "ada" in rows) == (2, True, True)
    assert vera.get(f"/files/changes?{place}&state=committed").text.count("/difference") == 1
    assert vera.get(f"/files/changes?{place}&person=oskar").text.count("/difference") == 1
    assert vera.get(f"/files/changes?{place}&q=nowhere").text.count("/difference") == 0
    assert vera.get(f"/files/changes?{place}&state=odd").status_code == 422
    csv = vera.get(f"/files/changes.csv?{place}")
    assert csv.text.splitlines()[0].startswith("id,place,state")
    assert len(csv.text.splitlines()) == 3
    exported = vera.get(f"/files/changes.json?{place}").get_json()
    assert change.id in [each["id"] for each in exported]
    paged = vera.get(f"/files/changes?{place}&cursor={exported[0]['id']}").text
    assert paged.count("/difference") == 1


def test_who_may_not_gets_no_further(world: World) -> None:
    change = world.changed("one\n")
    vera, nils, nobody = (world.browser(name) for name in ("vera", "nils", ""))
    assert vera.get(url(change)).status_code == 200
    assert "Discard" not in vera.get(url(change)).text
    assert vera.get(url(change, EDIT)).status_code == 200
    assert "<textarea" not in vera.get(url(change, EDIT)).text
    assert vera.post(url(change, EDIT), text="x").status_code == 403
    assert vera.post(url(change, "discard")).status_code == 403
    assert nils.get(url(change)).status_code in (403, 404)
    assert nobody.get(url(change)).status_code in (302, 303, 401)
    ada = world.browser("ada")
    assert ada.post(url(change, "commit"), message="x").status_code == 403
    assert ada.post(url(change, "discard")).status_code == 303
    assert world.get(change).state is ChangeState.DISCARDED


def test_forms_want_their_token(world: World) -> None:
    change = world.changed("one\n")
    browser = world.browser("oskar")
    for page in (EDIT, "commit", "discard", "merge", "propose", "resume", "remove-branch", "files"):
        assert browser.client.post(url(change, page), data={"message": "x"}).status_code == 403
    assert world.repository.tip(change.branch) == change.base


@pytest.mark.parametrize("name", ["absent", "01m8fntjt2t3btaq4dyte0xp05", "..%2f..", "%00"])
def test_unknown_changes_are_not_found(world: World, name: str) -> None:
    browser = world.browser("oskar")
    for page in ("", "/difference", "/commit", "/edit?path=x", "/conflict?path=x", "/download?path=x"):
        assert browser.get(f"/files/changes/{name}{page}").status_code == 404, page


def test_others_who_edit_are_named(world: World) -> None:
    world.changed("hers\n", "ada")
    change = world.begin()
    page = world.browser("oskar").get(url(change, EDIT)).text
    assert "Also edited by others" in page
    assert "ada" in page
