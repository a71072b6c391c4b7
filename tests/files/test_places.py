"""The register of places: who may see and change which, its secrets, and what the settings define."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.config import SettingsError, load_settings
from quarterdeck.core.errors import Conflict, Forbidden, Invalid, NotFound
from quarterdeck.files.defined import defined_drafts, ensure_places
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft, checked, draft_of
from tests.files.place_world import World, open_world

TOKEN = "ATATT3xFfGF0-a-token-nobody-must-see"
CLOUD = PlaceDraft(
    name="wiki",
    kind=PlaceKind.CLOUD,
    project="acme",
    repository="wiki",
    username="bot@example.org",
    token=TOKEN,
)
LOCAL = PlaceDraft(name="deck", kind=PlaceKind.LOCAL, url="/srv/git/deck.git")


def test_a_place_is_kept_with_its_defaults(world: World) -> None:
    added = world.places.add(world.actor("ada"), CLOUD)
    assert (added.url, added.read_role, added.write_role) == (
        "https://api.bitbucket.org/2.0",
        Role.VIEWER,
        Role.OPERATOR,
    )
    assert added.has_token
    assert world.places.by_id(added.id) == added


def test_who_reads_writes_and_sets_up(world: World) -> None:
    world.places.add(SYSTEM, LOCAL)
    for name, reads, writes, sets_up in (
        ("ada", True, True, True),
        ("oskar", True, True, False),
        ("vera", True, False, False),
        ("nils", False, False, False),
    ):
        actor = world.actor(name)
        listed = [
            bool(world.places.list_places(actor, verb)) for verb in ("file.read", "file.write", "place.write")
        ]
        assert listed == [reads, writes, sets_up], name


def test_a_place_with_a_higher_role_is_hidden_from_the_others(world: World) -> None:
    world.places.add(SYSTEM, replace(LOCAL, read_role=Role.OPERATOR, write_role=Role.ADMINISTRATOR))
    with pytest.raises(NotFound) as hidden:
        world.places.get(world.actor("vera"), "deck")
    with pytest.raises(NotFound) as absent:
        world.places.get(world.actor("vera"), "nowhere")
    assert hidden.value.message.replace("deck", "nowhere") == absent.value.message
    with pytest.raises(Forbidden, match="role administrator or a grant"):
        world.places.get(world.actor("oskar"), "deck", "file.write")
    assert [line["object"] for line in world.records("file.read")] == ["place:deck"]


@pytest.mark.parametrize(("level", "writes"), [("read", False), ("write", True)])
@pytest.mark.parametrize("by_group", [False, True])
def test_a_grant_lets_in_whose_role_does_not(world: World, level: str, writes: bool, by_group: bool) -> None:
    world.places.add(SYSTEM, replace(LOCAL, read_role=Role.ADMINISTRATOR, write_role=Role.ADMINISTRATOR))
    if by_group:
        world.parts.grants.give(SYSTEM, "place:deck", level, group="crew")
        world.join("nils", "crew")
    else:
        world.parts.grants.give(SYSTEM, "place:deck", level, person="nils")
    nils = world.actor("nils")
    assert world.places.get(nils, "deck").name == "deck"
    assert bool(world.places.list_places(nils, "file.write")) is writes
    assert not world.places.list_places(world.actor("vera"))


def test_a_grant_is_on_what_there_is_and_has_the_levels_of_a_place(world: World) -> None:
    world.places.add(SYSTEM, LOCAL)
    give = world.parts.grants.give
    for object_, level, field in (
        ("place:nowhere", "read", "object"),
        ("place:", "read", "object"),
        ("place:deck", "run", "level"),
        ("host:deck", "write", "level"),
    ):
        with pytest.raises(Invalid) as refused:
            give(SYSTEM, object_, level, person="nils")
        assert list(refused.value.fields) == [field]


def test_a_grant_follows_its_place_to_a_new_name_and_ends_with_it(world: World) -> None:
    world.places.add(SYSTEM, LOCAL)
    world.parts.grants.give(SYSTEM, "place:deck", "read", person="nils")
    world.places.change(SYSTEM, "deck", replace(LOCAL, name="bridge"))
    assert world.places.get(world.actor("nils"), "bridge")
    world.places.remove(SYSTEM, "bridge")
    world.places.add(SYSTEM, replace(LOCAL, name="bridge"))
    with pytest.raises(NotFound):
        world.places.get(world.actor("nils"), "bridge")


def test_the_page_of_access_says_what_somebody_may_do_on_a_place_and_why(world: World) -> None:
    world.places.add(SYSTEM, replace(LOCAL, read_role=Role.OPERATOR))
    world.parts.grants.give(SYSTEM, "place:deck", "write", person="vera")
    ada = world.as_("ada")
    page = ada.get("/access?who=vera&place=deck").text
    assert "Granted: write on place:deck." in page
    page = ada.get("/access?who=nils&place=deck").text
    assert "It takes the role operator or a grant" in page
    assert "There is no place of files named" in ada.get("/access?who=nils&place=nowhere").text
    assert "not about both" in ada.get("/access?who=nils&place=deck&host=master").text


def test_the_token_is_sealed_and_in_no_answer_no_record_and_no_message(world: World) -> None:
    ada = world.as_("ada")
    world.places.add(world.actor("ada"), CLOUD)
    answers = [
        ada.get(path).text for path in ("/files/places", "/files/places/wiki/edit", "/files/places/wiki/test")
    ]
    answers += [
        ada.api("GET", "/places").text,
        ada.api("PATCH", "/places/wiki", {"read_role": "operator"}).text,
    ]
    assert not any(TOKEN in answer for answer in answers)
    stored = b"".join(path.read_bytes() for path in world.home.rglob("*") if path.is_file())
    assert TOKEN.encode() not in stored
    assert TOKEN not in repr(CLOUD)


def test_a_kept_token_never_goes_elsewhere(world: World) -> None:
    added = world.places.add(SYSTEM, CLOUD)
    for elsewhere in (
        replace(draft_of(added), url="https://bucket.example.org/2.0"),
        replace(draft_of(added), username="eve@example.org"),
        replace(draft_of(added), kind=PlaceKind.DATACENTER),
    ):
        with pytest.raises(Invalid, match="give it anew"):
            world.places.change(SYSTEM, "wiki", elsewhere)
    changed = world.places.change(SYSTEM, "wiki", replace(draft_of(added), repository="handbook"))
    assert changed.has_token
    assert not world.places.change(SYSTEM, "wiki", replace(draft_of(changed), token="")).has_token


def test_a_changed_place_gets_a_new_adapter_and_an_old_record_none(world: World) -> None:
    world.add("deck", {"a": b"1\n"})
    before = world.record("deck")
    place = world.places.open(before)
    assert world.places.open(before) is place
    world.places.change(SYSTEM, "deck", replace(draft_of(before), read_role=Role.OPERATOR))
    assert world.places.open(world.record("deck")) is not place
    with pytest.raises(Conflict, match="changed or removed just now"):
        world.places.open(before)


def test_a_name_is_taken_once_in_whatever_case(world: World) -> None:
    world.places.add(SYSTEM, LOCAL)
    with pytest.raises(Conflict, match="already a place"):
        world.places.add(SYSTEM, replace(LOCAL, name="Deck"))
    assert world.places.change(SYSTEM, "deck", replace(LOCAL, name="DECK")).name == "DECK"


def test_each_change_is_in_the_history_with_before_and_after(world: World) -> None:
    ada = world.actor("ada")
    world.places.add(ada, CLOUD)
    world.places.change(ada, "wiki", replace(CLOUD, token="another-token-123", read_role=Role.OPERATOR))
    world.places.remove(ada, "wiki")
    detail = world.records("place.change")[0]["detail"]
    assert detail["changed"] == ["read_role", "token"]
    assert (detail["before"], detail["after"]) == ({"read_role": "viewer"}, {"read_role": "operator"})
    for action in ("place.add", "place.change", "place.remove"):
        assert [line["kind"] for line in world.records(action)] == ["intent", "outcome"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "places"}, "name"),
        ({"name": "-x"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"project": ""}, "project"),
        ({"project": "../x"}, "project"),
        ({"repository": ".."}, "repository"),
        ({"repository": "a b"}, "repository"),
        ({"url": "http://bucket.example.org"}, "url"),
        ({"url": "https://me:secret@bucket.example.org"}, "url"),
        ({"url": "file:///etc"}, "url"),
        ({"username": "a:b"}, "username"),
        ({"token": "two words"}, "token"),
        ({"token": "tök"}, "token"),
        ({"default_branch": "--upload-pack=x"}, "default_branch"),
        ({"allowed_paths": ("../x",)}, "allowed_paths"),
        ({"authorities": "no certificate"}, "authorities"),
        ({"write_role": Role.VIEWER}, "write_role"),
        ({"read_role": Role.ADMINISTRATOR}, "read_role"),
    ],
)
def test_what_can_be_no_place_is_refused_beside_its_field(change: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked(replace(CLOUD, **change))  # type: ignore[arg-type]  # of whichever field
    assert list(refused.value.fields) == [field]


@pytest.mark.parametrize("url", ["", "srv/git", "/srv/../etc", "/srv/\x1b[31m", "https://x.example"])
def test_a_local_place_is_an_absolute_folder(url: str) -> None:
    with pytest.raises(Invalid):
        checked(replace(LOCAL, url=url))


def test_a_test_says_what_is_wrong_and_changes_nothing(world: World) -> None:
    world.places.add(SYSTEM, LOCAL)
    checks = world.places.test(world.actor("ada"), "deck")
    assert not checks[-1].is_ok
    assert "/srv/git/deck.git" in checks[-1].detail
    assert world.records("place.test")[1]["detail"]["failed"] == [checks[-1].name]


DEFINED = {
    "PLACE_WIKI_KIND": "cloud",
    "PLACE_WIKI_WORKSPACE": "acme",
    "PLACE_WIKI_REPOSITORY": "wiki",
    "PLACE_WIKI_ALLOWED_PATHS": "conf/, **/values.yaml",
}


@pytest.fixture
def defined(tmp_path: Path) -> Iterator[World]:
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    with open_world(tmp_path, **DEFINED, PLACE_WIKI_TOKEN_FILE=str(secret)) as world:
        world.places.define(SYSTEM, defined_drafts(world.parts.settings.place))
        yield world


def test_the_settings_define_places_which_forms_do_not_change(defined: World) -> None:
    record = defined.record("wiki")
    assert (record.from_settings, record.has_token) == (True, True)
    assert record.allowed_paths == ("conf/", "**/values.yaml")
    for verb in (
        lambda: defined.places.change(SYSTEM, "wiki", draft_of(record)),
        lambda: defined.places.remove(SYSTEM, "wiki"),
    ):
        with pytest.raises(Conflict, match="defined in the settings"):
            verb()


def test_the_settings_are_brought_over_once_and_gone_when_they_are_gone(defined: World) -> None:
    drafts = defined_drafts(defined.parts.settings.place)
    defined.places.define(SYSTEM, drafts)
    assert len(defined.records("place.add")) == 2
    assert not defined.records("place.change")
    defined.places.define(SYSTEM, [replace(drafts[0], token="another-token-456")])
    assert defined.records("place.change")[0]["detail"]["changed"] == ["token"]
    defined.places.add(SYSTEM, LOCAL)
    defined.places.define(SYSTEM, [])
    assert [record.name for record in defined.places.all()] == ["deck"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PLACE_WIKI_KIND": "svn"}, "PLACE_WIKI_KIND is not valid; it must be local or cloud or datacenter"),
        ({"PLACE_WIKI_URL": "/srv"}, "place.wiki.kind is needed"),
        (
            {"PLACE_WIKI_KIND": "local", "PLACE_WIKI_COLOUR": "red"},
            "PLACE_WIKI_COLOUR is not a setting of a place",
        ),
        ({"PLACE_9X_KIND": "local"}, "lower-case letters and digits"),
    ],
)
def test_a_bad_setting_of_a_place_stops_the_start_by_its_name(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    environment = {f"QUARTERDECK_{name}": value for name, value in variables.items()}
    with pytest.raises(SettingsError) as refused:
        load_settings({"QUARTERDECK_HOME": str(tmp_path), **environment})
    assert words in refused.value.message


def test_a_table_defines_a_place_as_well_and_what_makes_none_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "quarterdeck.toml").write_text('[place.deck]\nkind = "local"\nurl = "srv"\n')
    settings = load_settings({"QUARTERDECK_HOME": str(tmp_path)})
    with pytest.raises(SettingsError, match=r"place\.deck\.url: Give the absolute path"):
        defined_drafts(settings.place)


def test_a_new_home_begins_with_the_example_which_stays_removed(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        ensure_places(world.places, (), world.home)
        folder = Path(world.record("example").url)
        assert not folder.exists()  # until somebody looks at it
        answer = world.as_("vera").get("/files/example")
        assert (answer.status_code, "README.md" in answer.text) == (200, True)
        ensure_places(world.places, (), world.home)
        world.places.remove(SYSTEM, "example")
        ensure_places(world.places, (), world.home)
        assert world.places.all() == []
        assert folder.is_dir()


def test_where_places_are_defined_there_is_no_example(tmp_path: Path) -> None:
    with open_world(tmp_path, **DEFINED) as world:
        ensure_places(world.places, world.parts.settings.place, world.home)
        assert [record.name for record in world.places.all()] == ["wiki"]
