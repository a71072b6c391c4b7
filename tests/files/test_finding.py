"""Finding paths: what comes first, what is never left out, and that it is the same each time."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.files.places.place import Entry
from quarterdeck.files.tree.finding import Finder
from quarterdeck.files.tree.listing import Listing

PATHS = [
    "README.md",
    "charts/app/values.yaml",
    "charts/web/values-prod.yaml",
    "conf/prod/main.yml",
    "docs/values/about.md",
    "quarterdeck/core/parts.py",
    "src/evaluation.py",
    "values",
]

letters = st.text("ab/.-", max_size=12)
paths = st.lists(letters.map(lambda text: text.strip("/") or "a"), min_size=1, max_size=12, unique=True)


def found(question: str, limit: int = 50) -> list[str]:
    return [PATHS[at] for at in Finder(PATHS).find(question, limit=limit)]


def test_the_name_itself_comes_first_then_its_beginning_then_words_then_parts() -> None:
    assert found("values") == [
        "values",
        "charts/app/values.yaml",
        "charts/web/values-prod.yaml",
        "docs/values/about.md",
    ]
    assert found("val")[-1] == "src/evaluation.py"


def test_letters_apart_are_found_and_initials_go_first() -> None:
    assert found("qcp") == ["quarterdeck/core/parts.py"]
    assert found("vlspr") == ["charts/web/values-prod.yaml"]
    assert found("rdme") == ["README.md"]


def test_each_word_narrows_in_whatever_order_and_case() -> None:
    assert found("YAML prod") == ["charts/web/values-prod.yaml"]
    assert found("main conf") == ["conf/prod/main.yml"]
    assert found("prod main zzz") == []


def test_a_path_is_found_by_a_part_with_slashes() -> None:
    assert found("app/values.yaml") == ["charts/app/values.yaml"]
    assert found("docs/values/about.md") == ["docs/values/about.md"]


def test_nothing_asked_gives_the_first_paths() -> None:
    assert found("", limit=2) == PATHS[:2]
    assert found("   ", limit=1) == PATHS[:1]


def test_what_would_be_a_pattern_is_plain_text() -> None:
    strange = ["a+b.txt", "a[0].txt", "(x)", "^$", "a\\b"]
    for text in strange:
        assert Finder(strange).find(text, limit=1) == [strange.index(text)]


@settings(max_examples=100, deadline=None)
@given(paths=paths, at=st.integers(0, 11), limit=st.integers(1, 12))
def test_a_whole_path_finds_itself(paths: list[str], at: int, limit: int) -> None:
    path = paths[at % len(paths)]
    answer = Finder(paths).find(path, limit=len(paths))
    assert paths.index(path) in answer
    assert len(Finder(paths).find(path, limit=limit)) <= limit


@settings(max_examples=100, deadline=None)
@given(paths=paths, question=letters)
def test_found_is_what_has_each_words_letters_in_order(paths: list[str], question: str) -> None:
    answer = Finder(paths).find(question, limit=100)
    assert len(answer) == len(set(answer))
    expected = {
        at for at, path in enumerate(paths) if all(is_spread(word, path) for word in question.split())
    }
    assert set(answer) == expected


def is_spread(word: str, path: str) -> bool:
    rest = iter(path.casefold())
    return all(letter in rest for letter in word.casefold())


def test_a_hostile_question_costs_no_more_than_another() -> None:
    many = [f"{'a' * 200}/{number}" for number in range(2_000)]
    began = time.thread_time()
    Finder(many).find("a" * 199 + "b", limit=50)
    Finder(many).find(" ".join("a" * 20 for _ in range(500)), limit=50)
    assert time.thread_time() - began < 20  # what goes back and forth takes hours


def test_a_folder_shows_what_lies_in_it_itself() -> None:
    listing = Listing([Entry(path) for path in reversed(PATHS)])
    top = listing.level("", limit=100)
    assert top is not None
    assert [(folder.path, folder.count) for folder in top.folders] == [
        ("charts", 2),
        ("conf", 1),
        ("docs", 1),
        ("quarterdeck", 1),
        ("src", 1),
    ]
    assert [entry.path for entry in top.files] == ["README.md", "values"]
    charts = listing.level("charts", limit=1)
    assert charts is not None
    assert ([folder.name for folder in charts.folders], charts.more) == (["app"], 1)
    assert listing.level("chart", limit=9) is None
    assert listing.level("README.md", limit=9) is None


@settings(max_examples=100, deadline=None)
@given(paths=paths)
def test_stepping_through_all_folders_finds_each_file_once(paths: list[str]) -> None:
    kept = [path for path in paths if "//" not in path and not any(o.startswith(f"{path}/") for o in paths)]
    listing = Listing([Entry(path) for path in kept])
    seen: list[str] = []
    folders = [""]
    while folders:
        level = listing.level(folders.pop(), limit=100)
        assert level is not None
        seen += [entry.path for entry in level.files]
        folders += [folder.path for folder in level.folders]
    assert sorted(seen) == sorted(kept)
