"""Drafts: saved one by one, none over another unseen, each in the manner of its file."""

import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import Conflict, Invalid, TooLarge
from quarterdeck.files.changes.drafts import MOST_UPLOADED, DraftClash
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.models import DraftAction
from quarterdeck.files.place_drafts import draft_of
from tests.files.change_world import World
from tests.files.change_world import repository as repository
from tests.files.change_world import shared as shared
from tests.files.change_world import world as world

APP = "conf/app.yml"


def content(world: World, change: ChangeRecord, path: str = APP) -> bytes:
    return world.changes.download(world.actor("oskar"), change.id, path)[1]


def test_version_counts_each_saving(world: World) -> None:
    change, save = world.begin(), world.changes.save_draft
    oskar = world.actor("oskar")
    first = save(oskar, change.id, APP, "one\n", 1)
    assert first.version == 2
    assert save(oskar, change.id, APP, "one\n", 1).version == 2
    with pytest.raises(DraftClash) as clash:
        save(oskar, change.id, APP, "other\n", 1)
    assert (clash.value.text, clash.value.extra["version"]) == ("one\n", 2)
    assert save(oskar, change.id, APP, "other\n", 2).version == 3


def test_of_many_windows_one_wins_and_the_others_are_told(world: World) -> None:
    change, oskar = world.begin(), world.actor("oskar")
    told: list[str] = []

    def save(number: int) -> None:
        try:
            world.changes.save_draft(oskar, change.id, APP, f"window {number}\n", 1)
            told.append("saved")
        except DraftClash:
            told.append("clash")

    threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["clash"] * 7 + ["saved"]


@pytest.mark.parametrize(
    ("before", "text", "after"),
    [
        (b"a\nb", "a\r\nc", b"a\nc"),
        (b"a\r\nb\r\n", "a\nc\n", b"a\r\nc\r\n"),
        (b"\xef\xbb\xbfa\n", "b\n", b"\xef\xbb\xbfb\n"),
        (b"\xff\xfea\x00\n\x00", "b\n", b"\xff\xfeb\x00\n\x00"),
        (b"a\rb\r", "a\nc\n", b"a\rc\r"),
        (b"a\r\nb\nc\r\n", "a\nb\nd\n", b"a\r\nb\nd\r\n"),
        (b"", "a", b"a"),
    ],
)
def test_manner_of_the_file_is_kept(world: World, before: bytes, text: str, after: bytes) -> None:
    world.repository.commit({"t": before})
    change = world.begin(path="t")
    world.save(change, text, "t")
    assert content(world, change, "t") == after
    assert world.blob(world.commit(change), "t") == after


@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=200))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_typed_is_what_is_stored(world: World, text: str) -> None:
    oskar, change = world.actor("oskar"), world.begin()  # the same one each time
    saved = world.changes.save_draft(oskar, change.id, APP, text.replace("\n", "\r\n"))
    assert saved.content == text.encode()


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_what_no_file_of_text_can_hold_is_refused(world: World, text: str) -> None:
    change = world.begin()
    with pytest.raises(Invalid):
        world.save(change, text)
    assert not world.get(change).waiting


def test_character_that_the_encoding_has_not_is_named(world: World) -> None:
    world.repository.commit({"t": "\u00e9 \u00fc\n".encode("latin-1")})
    oskar = world.actor("oskar")
    change = world.begin(path="t")
    world.changes.drafts.choose_encoding(oskar, change.id, "t", "latin-1")
    with pytest.raises(Invalid):
        world.save(change, "\u00e9 \u20ac\n", "t")
    world.save(change, "\u00e9 \u00e4\n", "t")
    assert content(world, change, "t") == b"\xe9 \xe4\n"
    with pytest.raises(Invalid):
        world.changes.drafts.choose_encoding(oskar, change.id, "t", "rot13")


def test_limits_of_editor_and_upload(world: World) -> None:
    oskar, change = world.actor("oskar"), world.begin()
    with pytest.raises(TooLarge):
        world.save(change, "x" * (1 << 20) + "y")
    drafts = world.changes.drafts
    with pytest.raises(TooLarge):
        drafts.save_bytes(oskar, change.id, APP, bytes(MOST_UPLOADED + 1))
    large = drafts.save_bytes(oskar, change.id, APP, b"z" * 2_000_000)
    assert len(large.content or b"") == 2_000_000
    assert len(world.blob(world.commit(change))) == 2_000_000


def test_large_file_is_replaced_renamed_and_never_held_as_text(world: World) -> None:
    world.repository.commit({"big": b"b" * 3_000_000})
    oskar, change = world.actor("oskar"), world.begin(path="big", action=DraftAction.RENAME, new_path="huge")
    assert world.changes.drafts.get(oskar, change.id, "big").original is None
    assert world.changes.differences(oskar, change.id)[0].difference is None
    assert len(content(world, change, "big")) == 3_000_000
    assert len(world.blob(world.commit(change), "huge")) == 3_000_000


def test_links_submodules_and_pointers_are_refused(world: World) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 3\n"
    world.repository.commit({"120000:link": b"run.sh", "pointer": pointer})
    for path in ("link", "pointer"):
        with pytest.raises(Invalid):
            world.begin(path=path)
    assert world.branches() == ["main"]


def test_update_becomes_a_rename_or_a_deletion(world: World) -> None:
    oskar, change = world.actor("oskar"), world.changed("mine\n")
    add = world.changes.beginning.add_file
    renamed = add(oskar, change.id, Wanted(APP, DraftAction.RENAME, "conf/new.yml"))
    assert (renamed.action, renamed.content) == (DraftAction.RENAME, b"mine\n")
    with pytest.raises(Conflict):
        add(oskar, change.id, Wanted("conf/new.yml", DraftAction.NEW))
    with pytest.raises(Conflict):
        add(oskar, change.id, Wanted(APP, DraftAction.DELETE))
    done = world.commit(change)
    assert world.blob(done, "conf/new.yml") == b"mine\n"


def test_place_keeps_to_its_paths(world: World) -> None:
    ada = world.actor("ada")
    record = world.parts.files.places.get(ada, world.place)
    world.parts.files.places.change(ada, world.place, replace(draft_of(record), allowed_paths=("conf/",)))
    world.begin()
    for wanted in ({"path": "run.sh"}, {"path": APP, "action": DraftAction.RENAME, "new_path": "x"}):
        with pytest.raises(Invalid):
            world.begin(**wanted)
