"""Looking at a file: its text, or why there is none, and its bytes."""

from pathlib import Path

import pytest

from quarterdeck.core.actors import SYSTEM
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft
from quarterdeck.files.raw_answer import download_name
from quarterdeck.files.text.highlighting import highlighted, language_of
from tests.files.place_world import World, open_world
from tests.files.repositories import Files, Repository, make_repository

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"
FILES: Files = {
    "conf/app.yaml": b"name: 'deck' # a comment\nport: 80\n",
    "100755:run.sh": b"#!/bin/sh\necho hello\n",
    "120000:latest": b"conf/app.yaml",
    "empty": b"",
    "binary.bin": b"\0\1\2",
    "latin.txt": "Grüße\n".encode("latin-1"),
    "wide.txt": b"\xff\xfe" + "Hi\n".encode("utf-16-le"),
    "mixed.txt": b"one\r\ntwo\nthree",
    "large.txt": b"x" * 99 + b"\n" + b"0123456789abcde\n" * 70_000,
    "pointer.png": POINTER,
    "bidi.py": "a = 1 \u202e# x\u2066\n".encode(),
    "page.html": b"<script>alert(1)</script>\n",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """For all tests that only look."""
    return make_repository(tmp_path_factory.mktemp("view") / "deck.git", FILES)


@pytest.fixture
def deck(world: World, repository: Repository) -> World:
    draft = PlaceDraft(name="deck", kind=PlaceKind.LOCAL, url=str(repository.folder))
    world.places.add(SYSTEM, draft)
    return world


def page(deck: World, query: str, who: str = "oskar") -> str:
    answer = deck.as_(who).get(f"/files/deck/view?{query}")
    assert answer.status_code == 200, answer.text
    return answer.text.partition("<main")[2]


def test_a_file_is_shown_with_numbers_colours_and_what_is_known_of_it(deck: World) -> None:
    text = page(deck, "path=conf/app.yaml")
    assert '<span class="source-line" id="L2"><a href="#L2"' in text
    assert '<span class="code-comment"># a comment</span>' in text
    assert "2 lines, UTF-8, line ends LF" in text
    assert "Ada Lovelace" in text
    assert "Begin" in text
    assert "executable" in page(deck, "path=run.sh")


def test_lines_are_marked_without_a_script(deck: World) -> None:
    text = page(deck, "path=conf/app.yaml&lines=2-1")
    assert text.count("is-marked") == 2
    assert 'href="#L1"' in text
    assert page(deck, "path=conf/app.yaml&lines=2").count("is-marked") == 1
    answer = deck.as_("oskar").get("/files/deck/view?path=conf/app.yaml&lines=x")
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("latest", "This is a symbolic link. It is shown, and not followed."),
        ("binary.bin", "This is no text"),
        ("latin.txt", "in an encoding that nobody has named yet"),
        ("large.txt", "larger than 1,024 KB"),
        ("pointer.png", "a pointer of Git LFS"),
        ("empty", "This file is empty."),
    ],
)
def test_what_is_no_plain_text_is_said_so(deck: World, path: str, words: str) -> None:
    assert words in page(deck, f"path={path}")


def test_where_a_link_leads_is_shown_and_not_followed(deck: World) -> None:
    text = page(deck, "path=latest")
    assert "conf/app.yaml" in text
    assert "a comment" not in text
    assert "Update" not in text


def test_an_odd_encoding_is_read_when_it_is_named(deck: World) -> None:
    assert "Grüße" in page(deck, "path=latin.txt&encoding=latin-1")
    assert 'name="encoding" value="latin-1"' in page(deck, "path=latin.txt&encoding=latin-1")
    assert "UTF-16 (little-endian) with a byte order mark" in page(deck, "path=wide.txt")
    assert "in an encoding that nobody has named yet" in page(deck, "path=latin.txt&encoding=klingon")


def test_mixed_line_ends_and_a_missing_last_one_are_said(deck: World) -> None:
    text = page(deck, "path=mixed.txt")
    assert "mixed: each line keeps its own" in text
    assert "none behind the last line" in text
    assert 'id="L3"' in text


def test_hostile_contents_stay_text(deck: World) -> None:
    assert "<script>alert" not in page(deck, "path=page.html")
    shown = page(deck, "path=bidi.py")
    assert "\u202e" not in shown
    assert "[U+202E]" in shown


def test_a_submodule_is_shown_as_what_it_is(world: World) -> None:
    repository = world.add("outer", {"a": b"1\n"})
    commit = repository.tip()
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},inner")
    tree = repository.git("write-tree")
    made = repository.git("commit-tree", tree, "-p", commit, "-m", "Add")
    repository.git("update-ref", "refs/heads/main", made)
    vera = world.as_("vera")
    assert "another repository (a submodule)" in vera.get("/files/outer/view?path=inner").text
    assert vera.get("/files/outer/raw?path=inner").status_code == 404


@pytest.mark.parametrize(
    "path", ["absent", "conf", "../etc/passwd", ".git/config", "conf//app.yaml", "a\0b", "x" * 5000]
)
def test_what_is_no_file_is_not_found(deck: World, path: str) -> None:
    oskar = deck.as_("oskar")
    for page_of in ("view", "raw"):
        answer = oskar.client.get(f"/files/deck/{page_of}", query_string={"path": path})
        assert answer.status_code in (404, 422), (page_of, answer.status_code)


def test_who_may_change_it_gets_the_buttons(deck: World) -> None:
    for who, is_there in (("ada", True), ("oskar", True), ("vera", False)):
        text = page(deck, "path=conf/app.yaml", who)
        assert ('name="action" value="update"' in text) is is_there
        assert ('value="rename"' in text) is is_there
        assert "Download" in text
    told = "You may look at this, not change it. It takes the role operator"
    assert told in page(deck, "path=run.sh", "vera")


def test_from_a_tag_or_a_commit_nothing_is_changed(world: World) -> None:
    repository = world.add("deck", {"a": b"1\n"})
    repository.git("tag", "v1", "main")
    oskar = world.as_("oskar")
    oskar.get("/files/deck")
    for ref in ("v1", repository.tip()):
        assert "choose a branch" in oskar.get(f"/files/deck/view?ref={ref}&path=a").text
    assert "Update" in oskar.get("/files/deck/view?ref=main&path=a").text


def test_a_download_is_the_bytes_as_an_attachment(deck: World) -> None:
    answer = deck.as_("vera").get("/files/deck/raw?path=page.html")
    assert answer.data == FILES["page.html"]
    assert answer.headers["Content-Disposition"] == "attachment; filename=page.html"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    binary = deck.as_("vera").get("/files/deck/raw?path=binary.bin")
    assert (binary.data, binary.mimetype) == (b"\0\1\2", "application/octet-stream")
    assert deck.as_("vera").get("/files/deck/raw?path=latest").data == b"conf/app.yaml"


def test_a_download_is_not_sent_again_at_the_same_commit(deck: World) -> None:
    vera = deck.as_("vera")
    etag = vera.get("/files/deck/raw?path=run.sh").headers["ETag"]
    before = len(deck.records("file.download"))
    assert vera.get("/files/deck/raw?path=run.sh", headers={"If-None-Match": etag}).status_code == 304
    assert len(deck.records("file.download")) == before


def test_programs_read_text_and_what_is_known_of_it(deck: World) -> None:
    vera = deck.as_("vera")
    told = vera.api("GET", "/places/deck/file?path=mixed.txt").get_json()
    assert (told["text"], told["is_mixed"], told["why"]) == ("one\ntwo\nthree", True, "")
    assert told["why_fixed"].startswith("You may look at this")
    link = vera.api("GET", "/places/deck/file?path=latest").get_json()
    assert (link["text"], link["why"], link["target"]) == (None, "link", "conf/app.yaml")
    assert vera.api("GET", "/places/deck/raw?path=binary.bin").data == b"\0\1\2"


def test_downloads_are_in_the_history_and_views_when_they_are_to_be(deck: World, tmp_path: Path) -> None:
    deck.as_("vera").get("/files/deck/raw?path=run.sh")
    intent, outcome = deck.records("file.download")[-2:]
    assert intent["object"] == "place:deck"
    assert {"branch": "main", "path": "run.sh"}.items() <= intent["detail"].items()
    assert outcome["detail"]["bytes"] == len(b"#!/bin/sh\necho hello\n")
    assert deck.records("file.view") == []
    with open_world(tmp_path, RECORD_FILE_VIEWS="true") as recording:
        recording.add("deck", {"a": b"1\n"})
        recording.as_("vera").get("/files/deck/view?path=a")
        assert [line["kind"] for line in recording.records("file.view")] == ["intent", "outcome"]


def test_contents_are_read_once_for_all_commits_that_have_them(world: World) -> None:
    repository = world.add("deck", {"a": b"1\n", "b": b"2\n"})
    vera = world.as_("vera")
    assert "1" in vera.get("/files/deck/view?path=a").text
    repository.commit({"b": b"3\n"})
    world.clock.forward(seconds=10)
    shown = vera.api("GET", "/places/deck/file?path=a").get_json()
    assert (shown["commit"], shown["text"]) == (repository.tip(), "1\n")
    assert vera.api("GET", "/places/deck/file?path=b").get_json()["text"] == "3\n"


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/values.yaml", "yaml"),
        ("Dockerfile", "docker"),
        ("x.unknown", ""),
        ("nginx.conf", "nginx"),
        (".env", "bash"),
    ],
)
def test_the_name_tells_the_language(path: str, language: str) -> None:
    assert language_of(path) == language


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a: |\n  b\n\n\nc: 'x\n", "\n\n", "'''\n" * 3])
@pytest.mark.parametrize("path", ["x.yaml", "x.py", "x.unknown"])
def test_highlighting_keeps_each_line(path: str, text: str) -> None:
    lines = ["".join(piece for _, piece in line) for line in highlighted(path, text)]
    expected = text.split("\n")
    assert lines == (expected[:-1] if text.endswith("\n") or not text else expected)


def test_what_takes_too_long_to_colour_is_plain() -> None:
    text = "a: 1\n" * 2_000
    lines = highlighted("x.yaml", text, seconds=-1)
    assert len(lines) == 2_000
    assert lines[-1] == [("", "a: 1")]
    long = highlighted("x.yaml", "a: " + "x" * 30_000)
    assert long[0][0][0] == ""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.txt", "b.txt"),
        ('x"y\r\nSet-Cookie: a=b', "x_y_x0d_x0aSet-Cookie_ a=b"),
        ("..", ".."),
        ("é.txt", "é.txt"),
        ("x" * 300, "x" * 150),
    ],
)
def test_the_name_of_a_download_leads_nowhere(path: str, name: str) -> None:
    assert download_name(path) == name
