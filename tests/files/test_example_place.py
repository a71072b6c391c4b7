"""The repository that a new home begins with."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quarterdeck.core.clock import SystemClock
from quarterdeck.files import paths
from quarterdeck.files.places import example
from quarterdeck.files.places.local import LocalPlace
from quarterdeck.files.places.place import Action, Author, EntryKind, FileChange
from tests.files.repositories import Repository


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def made(home: Path) -> Repository:
    folder = example.ensure_example(home, SystemClock())
    assert folder == home / "files" / "example.git"
    return Repository(folder)


def test_the_example_is_a_faultless_repository_with_a_file_of_each_kind(home: Path) -> None:
    repository = made(home)
    repository.check()
    assert repository.git("rev-list", "--count", "main") == "2"
    assert repository.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert repository.git("for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/main",
        "refs/tags/v1.0",
    ]
    place = LocalPlace(repository.folder)
    assert all(check.is_ok for check in place.check(for_writing=True))
    tip = place.tip(place.default_branch())
    files = {entry.path: place.read(tip, entry.path, most_bytes=10_000) for entry in place.list_files(tip)}
    assert all(paths.is_editable_path(path) for path in files)
    assert all(f"`{path}`".encode() in files["README.md"] for path in files if path != "README.md")
    assert place.stat(tip, "scripts/reload.sh").is_executable
    assert place.stat(tip, "nginx/enabled.conf").kind is EntryKind.LINK
    assert files["windows/hosts.ini"].count(b"\r\n") == files["windows/hosts.ini"].count(b"\n") > 0
    assert files["images/dot.png"].startswith(b"\x89PNG\r\n")
    with pytest.raises(UnicodeDecodeError):
        files["legacy/greeting.txt"].decode()
    compile(files["scripts/check_disk.py"], "check_disk.py", "exec")


def test_the_flow_of_its_readme_works(home: Path) -> None:
    place = LocalPlace(made(home).folder)
    tip, ada = place.tip("main"), Author("Ada", "ada@example.org")
    place.create_branch("quarterdeck/ada/values.yaml-1", tip)
    change = FileChange("shop/values.yaml", Action.WRITE, b"replicas: 3\n")
    committed = place.commit("quarterdeck/ada/values.yaml-1", tip, [change], "Scale", ada)
    place.merge(
        "quarterdeck/ada/values.yaml-1", "main", tip=committed, target_tip=tip, author=ada, message="Merge"
    )
    assert place.read(place.tip("main"), "shop/values.yaml", most_bytes=100) == b"replicas: 3\n"


def test_what_people_did_with_it_stays(home: Path) -> None:
    repository = made(home)
    tip = repository.commit({"README.md": b"mine\n"})
    assert example.ensure_example(home, SystemClock()) is None
    assert repository.tip() == tip
    shutil.rmtree(repository.folder)
    assert example.ensure_example(home, SystemClock()) is None
    assert not repository.folder.exists()


def test_it_is_there_whole_or_not_at_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example, "SECOND", {"shop": (0o100644, b"a file where a folder is")})
    with pytest.raises(Exception, match="folder"):
        example.ensure_example(home, SystemClock())
    assert list((home / "files").iterdir()) == []
    monkeypatch.undo()
    made(home).check()


def test_two_masters_that_start_at_once_make_one(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: example.ensure_example(home, SystemClock()), range(4)))
    Repository(home / "files" / "example.git").check()
    assert sorted(path.name for path in (home / "files").iterdir()) == ["example.git", "example.made"]


def test_a_home_behind_a_link_is_named_by_its_real_folder(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    folder = example.ensure_example(tmp_path / "link", SystemClock())
    assert folder is not None
    assert LocalPlace(folder).default_branch() == "main"


def test_only_the_owner_of_the_home_can_look_into_it(home: Path) -> None:
    made(home)
    assert (home / "files").stat().st_mode & 0o077 == 0
