"""Branches, commits and merges in a repository on this machine, beside the real git that does the same."""

import itertools
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.files.places import branches
from quarterdeck.files.places.local import LocalPlace
from quarterdeck.files.places.place import (
    Action,
    Author,
    Exists,
    FileChange,
    Missing,
    PlaceError,
    Refused,
    Stale,
    Unchanged,
)
from tests.files.repositories import Files, Repository, clone, copy, environment, make_repository

ADA = Author("Ada Lovelace", "ada@example.org")
START: Files = {
    "README.md": b"hello\n",
    "conf/a.yml": b"a: 1\n",
    "conf/b.yml": b"b: 1\n",
    "100755:run.sh": b"#!/bin/sh\n",
    "120000:link": b"README.md",
    "160000:sub": b"1" * 40,
    "deep/er/still/f": b"f",
}


def write(path: str, content: bytes = b"new\n", *, is_executable: bool = False) -> FileChange:
    return FileChange(path, Action.WRITE, content, is_executable=is_executable)


def new(path: str, content: bytes = b"new\n") -> FileChange:
    return FileChange(path, Action.WRITE, content, is_new=True)


def delete(path: str) -> FileChange:
    return FileChange(path, Action.DELETE)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = make_repository(tmp_path_factory.mktemp("pattern") / "a.git", START)
    repository.git("branch", "work")
    return repository


@pytest.fixture
def repository(pattern: Repository, tmp_path: Path) -> Repository:
    return copy(pattern, tmp_path / "a.git")


@pytest.fixture
def place(repository: Repository) -> LocalPlace:
    return LocalPlace(repository.folder)


def commit(place: LocalPlace, *changes: FileChange, base: str = "", message: str = "Change it") -> str:
    return place.commit("work", base or place.tip("work"), changes, message, ADA)


def test_several_files_go_into_one_commit_that_git_finds_faultless(
    place: LocalPlace, repository: Repository
) -> None:
    before = place.tip("work")
    made = commit(
        place,
        write("conf/a.yml", b"a: 2\r\n\xff\0"),
        new("new/deep/größe x.txt", b""),
        write("run.sh", b"#!/bin/sh\nid\n", is_executable=True),
        delete("link"),
        delete("deep/er/still/f"),
        message="Change it\r\n\r\nBecause.\n\n",
    )
    assert place.tip("work") == made == repository.tip("work")
    assert repository.tip("main") == before
    repository.check()
    raw = repository.git(
        "-c", "core.quotePath=false", "diff", "--raw", "--abbrev=1", before, made
    ).splitlines()
    assert [line.split("\t")[1] + " " + line[1:14] + line.split("\t")[0][-1] for line in raw] == [
        "conf/a.yml 100644 100644M",
        "deep/er/still/f 100644 000000D",
        "link 120000 000000D",
        "new/deep/größe x.txt 000000 100644A",
        "run.sh 100755 100755M",
    ]
    assert repository.blob("conf/a.yml", "work") == b"a: 2\r\n\xff\0"
    assert repository.git("log", "-1", "--format=%an|%ae|%cn|%P|%B", "work") == (
        f"Ada Lovelace|ada@example.org|Quarterdeck|{before}|Change it\n\nBecause."
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "a/b", "a/b/c", "a/c", "b", "b/a", "c/d/e/f"]),
            st.sampled_from([None, b"1", b"2"]),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda change: change[0],
    ).map(dict),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_a_commit_does_what_a_plain_table_of_files_would(
    shared: tuple[Repository, LocalPlace], numbers: Iterator[int], wanted: dict[str, bytes | None]
) -> None:
    place = shared[1]
    tip, branch = place.tip("main"), f"work-{next(numbers)}"
    place.create_branch(branch, tip)
    table = {entry.path: place.read(tip, entry.path, most_bytes=9) for entry in place.list_files(tip)}
    changes = [
        delete(path) if content is None else write(path, content) if path in table else new(path, content)
        for path, content in wanted.items()
    ]
    after = {path: content for path, content in {**table, **wanted}.items() if content is not None}
    expected: tuple[type[PlaceError], ...] = ()
    if any(content is None and path not in table for path, content in wanted.items()):
        expected = (Missing, Exists)
    elif any(path.startswith(f"{other}/") for path in after for other in after):
        expected = (Exists,)
    elif after == table:
        expected = (Unchanged,)
    if expected:
        with pytest.raises(expected):
            place.commit(branch, tip, changes, "x", ADA)
        assert place.tip(branch) == tip
        return
    made = place.commit(branch, tip, changes, "x", ADA)
    assert after == {
        entry.path: place.read(made, entry.path, most_bytes=9) for entry in place.list_files(made)
    }


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repository, LocalPlace]:
    start: Files = {"a": b"1", "b/a": b"1", "c/d/e/f": b"1"}
    repository = make_repository(tmp_path_factory.mktemp("shared") / "a.git", start)
    return repository, LocalPlace(repository.folder)


def test_a_file_may_become_a_folder_and_a_folder_a_file(place: LocalPlace, repository: Repository) -> None:
    made = commit(place, delete("deep/er/still/f"), new("deep"), delete("README.md"), new("README.md/x"))
    assert {"deep", "README.md/x"} <= {entry.path for entry in place.list_files(made)}
    repository.check()


def test_the_same_bytes_are_nothing_to_commit_but_another_mode_is(place: LocalPlace) -> None:
    with pytest.raises(Unchanged):
        commit(place, write("conf/a.yml", b"a: 1\n"))
    with pytest.raises(Unchanged):
        commit(place)
    made = commit(place, write("conf/a.yml", b"a: 1\n", is_executable=True))
    assert place.stat(made, "conf/a.yml").is_executable


@pytest.mark.parametrize("path", ["README.md", "conf", "link", "sub", "README.md/x", "link/x", "sub/x"])
def test_a_new_file_takes_no_place_of_another(place: LocalPlace, path: str) -> None:
    tip = place.tip("work")
    with pytest.raises(Exists):
        commit(place, new(path))
    assert place.tip("work") == tip


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (write("gone"), Missing),
        (delete("gone"), Missing),
        (write("conf"), Exists),
        (delete("conf"), Exists),
        (write("link"), Refused),
        (write("sub"), Refused),
        (delete("sub"), Refused),
        (new(".git/config"), Refused),
        (new("../x"), Refused),
        (new("-x"), Refused),
        (new("a\u202eb"), Refused),
        (new(".GIT/hooks/update"), Refused),
        (new(""), Refused),
        (delete("../README.md"), Refused),
    ],
)
def test_what_is_no_clean_change_of_a_file_is_refused(
    place: LocalPlace, repository: Repository, change: FileChange, error: type[PlaceError]
) -> None:
    tip = place.tip("work")
    with pytest.raises(error):
        commit(place, change)
    assert place.tip("work") == tip
    repository.check()


def test_a_file_with_an_odd_name_can_be_renamed_away(place: LocalPlace, repository: Repository) -> None:
    repository.commit({b"a\xff\n": b"x"}, "work")
    (odd,) = [entry.path for entry in place.list_files(place.tip("work")) if entry.path.startswith("a")]
    commit(place, delete(odd), new("plain", b"x"))
    assert "plain" in repository.git("ls-tree", "--name-only", "work").splitlines()


def test_a_change_is_put_on_top_of_others_but_not_over_them(
    place: LocalPlace, repository: Repository
) -> None:
    base = place.tip("work")
    theirs = repository.commit({"conf/b.yml": b"b: 2\n"}, "work")
    made = commit(place, write("conf/a.yml", b"a: 2\n"), new("new"), base=base)
    assert repository.git("rev-parse", f"{made}^") == theirs
    assert repository.blob("conf/b.yml", "work") == b"b: 2\n"
    for change in (write("conf/b.yml"), delete("conf/b.yml"), write("conf/a.yml")):
        with pytest.raises(Stale) as caught:
            commit(place, change, base=base)
        assert caught.value.extra["paths"] == [change.path]
    with pytest.raises(Exists):
        commit(place, new("new"), base=base)
    repository.commit({"conf/a.yml": None}, "work")
    with pytest.raises(Stale):
        commit(place, write("conf/a.yml"), base=base)
    with pytest.raises(Missing):
        commit(place, write("conf/a.yml"), base="1" * 40)
    assert place.tip("work") == repository.tip("work")


def test_a_branch_must_be_there(place: LocalPlace) -> None:
    tip = place.tip("work")
    for branch in ("gone", "-x", "../../x", "refs/heads/work", "a b", ""):
        with pytest.raises((Missing, Refused)):
            place.commit(branch, tip, [write("README.md")], "x", ADA)


@pytest.mark.parametrize(
    "name", ["a\nGIT: x", "<>", "", "  ", ".,;", "a <b@c> d", "Ünï 日本", "\u202ea", "\ud800"]
)
@pytest.mark.parametrize("email", ["ada@example.org", "", "a\nb", "<x>", "a b@c"])
def test_no_name_forges_a_line_of_a_commit(
    shared: tuple[Repository, LocalPlace], name: str, email: str
) -> None:
    repository, place = shared
    made = place.commit(
        "main", place.tip("main"), [new(f"f{hash((name, email))}")], "x\0\x1b\n", Author(name, email)
    )
    raw = repository.git("cat-file", "commit", made).split("\n\n")
    assert [line.split(" ")[0] for line in raw[0].splitlines()] == ["tree", "parent", "author", "committer"]
    assert "\u202e" not in raw[0]
    assert raw[1] == "x"


def test_a_commit_of_odd_names_has_no_fault(shared: tuple[Repository, LocalPlace]) -> None:
    shared[0].check()


@pytest.mark.parametrize("kind", ["loose", "packed"])
def test_a_branch_is_made_once_and_not_below_another(
    place: LocalPlace, repository: Repository, kind: str
) -> None:
    tip = place.tip("main")
    place.create_branch("quarterdeck/ada/x-1", tip)
    if kind == "packed":
        repository.git("pack-refs", "--all")
    for name in ("work", "quarterdeck/ada/x-1", "quarterdeck", "quarterdeck/ada", "work/x", "main/x/y"):
        with pytest.raises(Exists, match="already"):
            place.create_branch(name, tip)
    for name in ("-x", "a..b", "HEAD", "", "a\u202eb", "x.lock"):
        with pytest.raises(Refused):
            place.create_branch(name, tip)
    with pytest.raises(Missing):
        place.create_branch("new", "2" * 40)
    place.delete_branch("quarterdeck/ada/x-1")
    place.create_branch("quarterdeck", tip)
    repository.check()
    assert repository.git("for-each-ref", "--format=%(refname)").splitlines() == [
        "refs/heads/main",
        "refs/heads/quarterdeck",
        "refs/heads/work",
    ]


@pytest.mark.parametrize("kind", ["loose", "packed"])
def test_a_branch_is_removed_only_where_it_was_seen(
    place: LocalPlace, repository: Repository, kind: str
) -> None:
    if kind == "packed":
        repository.git("pack-refs", "--all")
    with pytest.raises(Stale):
        place.delete_branch("work", tip="1" * 40)
    with pytest.raises(Refused, match="main branch"):
        place.delete_branch("main")
    place.delete_branch("work", tip=place.tip("work"))
    place.delete_branch("work", tip="1" * 40)
    place.delete_branch("main/x")
    assert repository.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_packed_branch_moves_on(place: LocalPlace, repository: Repository) -> None:
    repository.git("pack-refs", "--all")
    (repository.folder / "refs/heads/work/left/over").mkdir(parents=True)
    made = commit(place, write("README.md"))
    assert repository.tip("work") == made


def test_what_is_checked_out_is_never_moved(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "a", START, bare=False)
    repository.git("worktree", "add", "-q", str(tmp_path / "b"), "-b", "linked")
    place = LocalPlace(repository.folder)
    tip = place.tip("main")
    repository.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    for branch in ("main", "linked", "alias"):
        with pytest.raises(Refused, match="checked out"):
            place.commit(branch, tip, [write("README.md")], "x", ADA)
    with pytest.raises(Refused):
        place.delete_branch("linked")
    place.create_branch("work", tip)
    made = place.commit("work", tip, [write("README.md")], "x", ADA)
    with pytest.raises(Refused, match="checked out"):
        place.merge("work", "main", tip=made, target_tip=tip, author=ADA, message="x")
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("rev-parse", "HEAD") == tip


def test_a_lock_of_another_program_is_waited_for_and_then_named(
    place: LocalPlace, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = repository.folder / "refs/heads/work.lock"
    lock.touch()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(commit, place, write("README.md"))
        lock.unlink()
        waiting.result()
    lock.touch()
    monkeypatch.setattr(branches, "_TRIES", 2)
    with pytest.raises(PlaceError, match=r"\.lock"):
        commit(place, write("README.md", b"again\n"))


def test_a_branch_that_cannot_be_removed_yet_stays_where_it_is(
    place: LocalPlace, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.git("pack-refs", "--all")
    made = commit(place, write("README.md"))
    lock = repository.folder / "packed-refs.lock"
    lock.touch()
    monkeypatch.setattr(branches, "_TRIES", 2)
    with pytest.raises(PlaceError):
        place.delete_branch("work", tip=made)
    assert repository.tip("work") == made
    lock.unlink()
    place.delete_branch("work", tip=made)
    assert repository.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_of_many_threads_all_files_come_in_and_of_one_file_one_change(
    place: LocalPlace, repository: Repository
) -> None:
    base = place.tip("work")
    other = LocalPlace(repository.folder)

    def one(number: int) -> str:
        return (place, other)[number % 2].commit("work", base, [new(f"f{number}")], "x", ADA)

    def same(number: int) -> bool:
        try:
            (place, other)[number % 2].commit("work", base, [write("README.md", b"%d" % number)], "x", ADA)
        except Stale:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(one, range(16)))
        assert sum(pool.map(same, range(8))) == 1
    assert len(set(made)) == 16
    assert repository.git("rev-list", "--count", f"{base}..work") == "17"
    assert {f"f{number}" for number in range(16)} <= {
        each.path for each in place.list_files(place.tip("work"))
    }
    repository.check()


MANY_COMMITS = textwrap.dedent("""
    import sys
    from quarterdeck.files.places.local import LocalPlace
    from quarterdeck.files.places.place import Action, Author, FileChange, PlaceError
    folder, name, base = sys.argv[1:]
    place, made = LocalPlace(folder), 0
    while made < 8:
        change = FileChange(f"{name}/{made}", Action.WRITE, b"x", is_new=True)
        try:
            print(place.commit("work", base, [change], "x", Author("Ada", "a@x")), flush=True)
        except PlaceError:
            continue
        made += 1
""")


def test_two_processes_pushes_and_a_tidying_git_lose_nothing(
    place: LocalPlace, repository: Repository, tmp_path: Path
) -> None:
    base = place.tip("work")
    other = clone(repository, tmp_path / "other")
    other.git("checkout", "-q", "work")
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", MANY_COMMITS, str(repository.folder), name, base],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for name in ("one", "two")
    ]
    pushed = []
    for number in range(4):
        pushed.append(push_one(other, number))
        repository.git(*(["pack-refs", "--all"] if number % 2 else ["gc", "--quiet"]))
    acknowledged = [line for program in programs for line in program.communicate(timeout=60)[0].split()]
    assert [program.returncode for program in programs] == [0, 0]
    assert len(acknowledged) == 16
    history = set(repository.git("rev-list", "work").split())
    assert history >= set(acknowledged)
    assert history >= {commit for commit in pushed if commit}
    listed = {entry.path for entry in place.list_files(place.tip("work"))}
    assert {f"{name}/{number}" for name in ("one", "two") for number in range(8)} <= listed
    assert repository.git("rev-list", "--count", "--merges", "work") == "0"
    repository.check()


def push_one(other: Repository, number: int) -> str:
    """Commit on what is there and push; return the commit, or nothing when the push was rejected."""
    other.git("fetch", "-q")
    other.git("reset", "-q", "--hard", "origin/work")
    (other.folder / f"pushed{number}").write_text("x")
    other.git("add", ".")
    other.git("commit", "-q", "-m", f"Push {number}")
    made = other.git("rev-parse", "HEAD")
    answer = subprocess.run(
        ["git", "push", "-q", "origin", "HEAD:work"],
        cwd=other.folder,
        env=environment(),
        capture_output=True,
        check=False,
    )
    return made if answer.returncode == 0 else ""


def test_a_push_in_between_makes_the_commit_stale_or_comes_below_it(
    place: LocalPlace, repository: Repository, tmp_path: Path
) -> None:
    base = place.tip("work")
    other = clone(repository, tmp_path / "other")
    other.git("checkout", "-q", "work")
    assert push_one(other, 1)
    made = commit(place, write("README.md"), base=base)
    other.git("push", "-q", "origin", "HEAD~1:refs/heads/x")
    (other.folder / "README.md").write_text("theirs")
    other.git("commit", "-qam", "x")
    other.git("push", "-q", "origin", "HEAD:work", fails=True)
    assert repository.tip("work") == made


def merge(place: LocalPlace, branch: str = "work", target: str = "main") -> str:
    return place.merge(
        branch, target, tip=place.tip(branch), target_tip=place.tip(target), author=ADA, message="Merge it"
    )


def test_a_merge_goes_forward_where_it_can(place: LocalPlace, repository: Repository) -> None:
    with pytest.raises(Unchanged):
        merge(place)
    made = commit(place, write("README.md"))
    assert merge(place) == made == repository.tip("main")
    with pytest.raises(Unchanged):
        merge(place)


def test_a_merge_of_other_files_is_what_git_makes_of_it(place: LocalPlace, repository: Repository) -> None:
    commit(place, write("conf/a.yml"), delete("deep/er/still/f"), new("new/x"), delete("link"))
    repository.commit({"conf/b.yml": b"b: 2\n", "new/y": b"y", "100755:README.md": b"hello\n", "link": None})
    tree = repository.git("merge-tree", "--write-tree", "main", "work")
    before = (place.tip("main"), place.tip("work"))
    made = merge(place)
    assert repository.git("rev-parse", f"{made}^{{tree}}") == tree
    assert tuple(repository.git("rev-parse", f"{made}^1", f"{made}^2").split()) == before
    assert repository.git("log", "-1", "--format=%an|%cn|%s", made) == "Ada Lovelace|Quarterdeck|Merge it"
    repository.check()


@pytest.mark.parametrize(
    ("mine", "theirs", "path"),
    [
        (write("conf/a.yml", b"2"), {"conf/a.yml": b"3"}, "conf/a.yml"),
        (write("conf/a.yml", b"2"), {"conf/a.yml": None}, "conf/a.yml"),
        (delete("conf/a.yml"), {"conf/a.yml": b"3"}, "conf/a.yml"),
        (new("n", b"2"), {"n": b"3"}, "n"),
        (new("n", b"2"), {"n/x": b"3"}, "n"),
        (new("n/x", b"2"), {"n": b"3"}, "n/x"),
    ],
)
def test_a_merge_over_the_same_file_is_stale_and_names_it(
    place: LocalPlace, repository: Repository, mine: FileChange, theirs: Files, path: str
) -> None:
    commit(place, mine, new("other"))
    tip = repository.commit(theirs)
    with pytest.raises(Stale) as caught:
        merge(place)
    assert caught.value.extra["paths"] == [path]
    assert repository.tip("main") == tip


def test_a_merge_of_what_moved_since_it_was_seen_is_stale(place: LocalPlace, repository: Repository) -> None:
    tip, target_tip = commit(place, write("README.md")), place.tip("main")
    repository.commit({"x": b"1"})
    for seen, target_seen in ((tip, target_tip), (target_tip, repository.tip("main"))):
        with pytest.raises(Stale, match="moved"):
            place.merge("work", "main", tip=seen, target_tip=target_seen, author=ADA, message="x")


def test_unrelated_branches_are_left_to_git(place: LocalPlace, repository: Repository) -> None:
    repository.commit({"x": b"1"}, "other")
    with pytest.raises(Refused, match="git"):
        merge(place, "other")


def test_a_shared_repository_stays_shared(repository: Repository) -> None:
    repository.git("config", "core.sharedRepository", "group")
    place = LocalPlace(repository.folder)
    place.create_branch("quarterdeck/ada/x", place.tip("main"))
    place.commit("quarterdeck/ada/x", place.tip("main"), [new("shared")], "x", ADA)
    blob = repository.git("rev-parse", "quarterdeck/ada/x:shared")
    for path in ("refs/heads/quarterdeck", "refs/heads/quarterdeck/ada", f"objects/{blob[:2]}"):
        assert (repository.folder / path).stat().st_mode & 0o2070 == 0o2070
    assert (repository.folder / "refs/heads/quarterdeck/ada/x").stat().st_mode & 0o060 == 0o060
    assert (repository.folder / "objects" / blob[:2] / blob[2:]).stat().st_mode & 0o040


def test_the_hooks_and_filters_of_a_repository_never_run(repository: Repository, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    repository.commit({".gitattributes": b"* filter=x\n"})
    (repository.folder / "hooks").mkdir()
    for name in (
        "pre-receive",
        "update",
        "post-receive",
        "pre-commit",
        "commit-msg",
        "reference-transaction",
    ):
        hook = repository.folder / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {mark}\nexit 1\n")
        hook.chmod(0o755)
    for setting in ("core.fsmonitor", "core.sshCommand", "filter.x.clean", "filter.x.smudge", "gpg.program"):
        repository.git("config", setting, f"touch {mark}")
    repository.git("config", "commit.gpgSign", "true")
    place = LocalPlace(repository.folder)
    commit(place, write("README.md", b"as it is\r\n"))
    merge(place)
    assert place.check(for_writing=True)[-1].is_ok
    assert not mark.exists()
    assert repository.blob("README.md") == b"as it is\r\n"
