"""A repository on this machine, as it is looked at; the real git made it and says what is right."""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import TooLarge
from quarterdeck.files import paths
from quarterdeck.files.places import ancestry, store, tree_edits
from quarterdeck.files.places.local import LocalPlace
from quarterdeck.files.places.local_checks import read_folder
from quarterdeck.files.places.place import EntryKind, Missing, PlaceError, ProposalDraft, Unsupported
from tests.files.repositories import Files, Repository, clone, copy, make_repository, run_git

ODD_NAMES: list[bytes] = [
    b"message",
    b"branch",
    b"-rf",
    b"--upload-pack=id",
    b"a b",
    b" a ",
    b"a.",
    b"new\nline",
    b"tab\tquote\"back\\slash'",
    b"\x01\x1b[31m\x7f",
    b"*?[x]",
    b"%2e%2e%2f",
    b"$(id);`id`",
    "größe".encode(),
    "gro\u0308ße".encode(),
    "日本語 🚀".encode(),
    "\u202efdp.exe".encode(),
    "\u200b".encode(),
    "\U0010ffe9".encode(),
    b"K\xf6ln",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"x" * 255,
    b"...",
    b"git~",
    b"con",
    b"deep/-x/\xe9/ y",
]

CONTENTS = [
    b"",
    b"\0",
    b"a\r\nb\r\n",
    b"a\rb",
    b"no end",
    bytes(range(256)),
    b"\xef\xbb\xbfbom",
    "ä".encode("latin-1"),
    "ä".encode("utf-16"),
]


def odd_files() -> dict[str | bytes, bytes | None]:
    return {name: CONTENTS[number % len(CONTENTS)] for number, name in enumerate(ODD_NAMES)}


def test_every_odd_name_and_every_byte_comes_as_git_has_it(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "a.git", odd_files())
    place = LocalPlace(repository.folder)
    tip = place.tip("main")
    listed = [entry.path for entry in place.list_files(tip)]
    names = repository.git_bytes("ls-tree", "-r", "-z", "--name-only", "main").split(b"\0")[:-1]
    assert sorted(names) == sorted(paths.encode_path(path) for path in listed)
    assert listed == sorted(listed)
    for name, path in zip(names, map(paths.decode_path, names), strict=True):
        content = repository.blob(name)
        assert place.read(tip, path, most_bytes=1000) == content == odd_files()[name]
        assert place.stat(tip, path).size == len(content)
        assert place.last_change(tip, path) is not None
        path.encode()


@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=12).filter(lambda name: not {0, 47} & set(name) and name[:1] != b"."),
        st.binary(max_size=200),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=8, deadline=None)
def test_any_name_and_contents_come_back(
    tmp_path_factory: pytest.TempPathFactory, files: dict[bytes, bytes]
) -> None:
    repository = make_repository(
        tmp_path_factory.mktemp("any") / "a.git", {b"f/" + name: content for name, content in files.items()}
    )
    place = LocalPlace(repository.folder)
    tip = place.resolve("main")
    read = {
        paths.encode_path(entry.path): place.read(tip, entry.path, most_bytes=1000)
        for entry in place.list_files(tip)
    }
    assert read == {b"f/" + name: content for name, content in files.items()}


def test_links_submodules_and_executables_are_told(tmp_path: Path) -> None:
    other = b"1" * 40
    repository = make_repository(
        tmp_path / "a.git",
        {
            "100755:run.sh": b"#!/bin/sh\n",
            "120000:link": b"../../etc/passwd",
            "160000:sub": other,
            "d/f": b"x",
        },
    )
    place = LocalPlace(repository.folder)
    tip = place.tip("main")
    assert {entry.path: entry.kind for entry in place.list_files(tip)} == {
        "d/f": EntryKind.FILE,
        "link": EntryKind.LINK,
        "run.sh": EntryKind.FILE,
        "sub": EntryKind.SUBMODULE,
    }
    assert place.stat(tip, "run.sh").is_executable
    assert not place.stat(tip, "d/f").is_executable
    assert place.stat(tip, "link").kind is EntryKind.LINK
    assert place.read(tip, "link", most_bytes=100) == b"../../etc/passwd"
    assert place.stat(tip, "sub").version == other.decode()
    with pytest.raises(Missing, match="submodule"):
        place.read(tip, "sub", most_bytes=100)


@pytest.mark.parametrize(
    "path", ["d", "x", "d/x", "f/x", "", "/f", "../f", "d/../f", "d//f", ".git/config", "f\0"]
)
def test_a_path_that_is_no_file_is_missing(repository: Repository, path: str) -> None:
    place = LocalPlace(repository.folder)
    for look in (place.stat, lambda commit, path: place.read(commit, path, most_bytes=10)):
        with pytest.raises(Missing):
            look(place.tip("main"), path)


@pytest.mark.parametrize("commit", ["", "main", "HEAD", "0" * 40, "0" * 39, "z" * 40, "-x", "../x"])
def test_a_commit_that_is_none_is_missing(repository: Repository, commit: str) -> None:
    place = LocalPlace(repository.folder)
    for look in (
        place.list_files,
        lambda each: place.stat(each, "f"),
        lambda each: place.last_change(each, "f"),
    ):
        with pytest.raises(Missing):
            look(commit)


def test_a_tree_or_blob_is_no_commit(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LARGEST", 300)
    large = repository.git("hash-object", "-w", "--stdin", stdin=b"x" * 301)
    repository.git("tag", "large", large)
    assert [ref.name for ref in LocalPlace(repository.folder).refs()] == ["main"]
    with pytest.raises(Missing):
        LocalPlace(repository.folder).resolve(large)
    place = LocalPlace(repository.folder)
    for name in ("main^{tree}", "main:f"):
        with pytest.raises(Missing):
            place.list_files(repository.git("rev-parse", name))
        with pytest.raises(Missing):
            place.resolve(repository.git("rev-parse", name))


def test_sizes_are_told_however_a_file_is_packed(tmp_path: Path) -> None:
    lines = [hashlib.sha256(b"%d" % number).hexdigest().encode() + b"\n" for number in range(3000)]
    steps: list[Files] = [{"big": b"".join([*lines, b"%d\n" % number])} for number in range(4)]
    repository = make_repository(tmp_path / "a.git", {"small": b"x" * 15, "sixteen": b"y" * 16, "empty": b""})
    repository.commits(steps)
    for pack in ([], ["repack", "-adfq"], ["-c", "pack.indexVersion=1", "repack", "-adFq"]):
        if pack:
            repository.git(*pack)
        place = LocalPlace(repository.folder)
        for number in range(4):
            commit = repository.git("rev-parse", f"main~{number}")
            size = int(repository.git("cat-file", "-s", f"{commit}:big"))
            assert place.stat(commit, "big").size == size
            assert place.read(commit, "big", most_bytes=size) == repository.blob("big", commit)
        for path in ("small", "sixteen", "empty"):
            assert place.stat(commit, path).size == len(repository.blob(path))
    assert repository.git("verify-pack", "-v", *map(str, repository.folder.glob("objects/pack/*.idx"))).count(
        "chain length"
    )


def test_a_file_over_the_limit_is_not_read(repository: Repository) -> None:
    place = LocalPlace(repository.folder)
    with pytest.raises(TooLarge, match="at most 1 are"):
        place.read(place.tip("main"), "f", most_bytes=1)


def test_branches_and_tags_are_found_the_latest_first(repository: Repository) -> None:
    first = repository.tip()
    repository.git("tag", "v1", first)
    repository.git("branch", "feature/Größe", first)
    last = repository.commit({"f": b"2"})
    repository.git("tag", "-a", "-m", "Two", "v2", last)
    repository.git("tag", "-a", "-m", "Of a tag", "v2.1", "v2")
    repository.git("tag", "of-a-blob", "main:f")
    for packed in (False, True):
        if packed:
            repository.git("pack-refs", "--all")
        place = LocalPlace(repository.folder)
        found = [(ref.name, ref.commit, ref.is_tag) for ref in place.refs()]
        assert found == [
            ("main", last, False),
            ("feature/Größe", first, False),
            ("v2", last, True),
            ("v2.1", last, True),
            ("v1", first, True),
        ]
        assert [ref.name for ref in place.refs("grö")] == ["feature/Größe"]
        assert [ref.name for ref in place.refs("V2")] == ["v2", "v2.1"]
        assert len(place.refs(limit=2)) == 2
        assert place.refs()[0].changed_at == datetime.fromtimestamp(1_700_000_060, UTC)


def test_a_hostile_name_of_a_branch_is_left_out(repository: Repository) -> None:
    for raw in (b"a\xe2\x80\xaeb", b"K\xf6ln", b"-x"):
        (repository.folder / "refs/heads").joinpath(os.fsdecode(raw)).write_text(repository.tip() + "\n")
    place = LocalPlace(repository.folder)
    assert [ref.name for ref in place.refs()] == ["main"]
    for name in ("a\u202eb", "-x", "--help", "../../config", "refs/heads/main", "", "a\0b", "K\udcf6ln"):
        with pytest.raises(Missing):
            place.tip(name)
        with pytest.raises(Missing):
            place.resolve(name)


def test_a_branch_comes_before_a_tag_and_both_before_a_hash(repository: Repository) -> None:
    first = repository.tip()
    last = repository.commit({"f": b"2"})
    repository.git("tag", "-a", "-m", "x", "same", first)
    place = LocalPlace(repository.folder)
    assert place.resolve("same") == first
    repository.git("branch", "same", last)
    assert place.resolve("same") == last
    assert place.resolve(first) == place.resolve(first.upper()) == first
    for ref in (first[:12], "HEAD", "main~1", "nothing", "0" * 40):
        with pytest.raises(Missing):
            place.resolve(ref)


def test_the_default_branch_is_heads_or_the_likeliest(repository: Repository, tmp_path: Path) -> None:
    place = LocalPlace(repository.folder)
    repository.git("branch", "abc")
    assert place.default_branch() == "main"
    repository.git("symbolic-ref", "HEAD", "refs/heads/abc")
    assert place.default_branch() == "abc"
    repository.git("symbolic-ref", "HEAD", "refs/heads/gone")
    assert place.default_branch() == "main"
    repository.git("update-ref", "--no-deref", "HEAD", repository.tip())
    assert place.default_branch() == "main"
    assert LocalPlace(repository.folder, branch="abc").default_branch() == "abc"
    with pytest.raises(Missing, match="gone"):
        LocalPlace(repository.folder, branch="gone").default_branch()
    with pytest.raises(Missing, match="empty"):
        LocalPlace(make_repository(tmp_path / "e.git").folder).default_branch()


def test_the_last_change_is_what_git_log_says(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "a.git", {"a": b"1", "b": b"1", "d/c": b"1"})
    first = repository.tip()
    repository.commits([{"a": b"2"}, {"d/e": b"1"}], "main")
    repository.git("branch", "side", first)
    repository.commits([{"b": b"2"}, {"d/c": b"3", "g": b"1"}], "side", "Seite ä")
    tree = repository.git("merge-tree", "--write-tree", "main", "side").split()[0]
    merged = repository.git("commit-tree", "-p", "main", "-p", "side", "-m", "Merge", tree)
    repository.git("update-ref", "refs/heads/main", merged)
    repository.commits([{"z": b"1"}, {"g": None}])
    tip = repository.tip()
    place = LocalPlace(repository.folder)
    for path in ("a", "b", "d/c", "d/e", "g", "z"):
        change = place.last_change(tip, path)
        assert change is not None
        assert change.id == repository.git("log", "-1", "--format=%H", "main", "--", path)
        assert change.message == repository.git("log", "-1", "--format=%B", change.id) + "\n" * (
            change.message.endswith("\n")
        )
        assert change.author == "Ada Lovelace"
    assert place.last_change(tip, "never") is None


def test_the_search_for_the_last_change_has_an_end(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commits([{"g": b"%d" % number} for number in range(5)])
    shallow = tmp_path / "shallow"
    run_git(tmp_path, "clone", "--quiet", "--depth=2", f"file://{repository.folder}", str(shallow))
    assert LocalPlace(shallow).last_change(repository.tip(), "f") is None
    assert LocalPlace(shallow).last_change(repository.tip(), "g") is not None
    place = LocalPlace(repository.folder)
    assert place.last_change(repository.tip(), "f") is not None
    monkeypatch.setattr(ancestry, "MOST_COMMITS", 3)
    assert place.last_change(repository.tip(), "f") is None


def test_a_commit_in_another_encoding_is_read(repository: Repository) -> None:
    tree = repository.git("rev-parse", "main^{tree}")
    text = f"tree {tree}\nauthor Bj\u00f6rn <b@x> 1 +0000\ncommitter B <b@x> 99999999999999 +0000\n"
    made = repository.git(
        "hash-object", "-t", "commit", "-w", "--literally", "--stdin",
        stdin=(text + "encoding ISO-8859-1\n\nGr\u00f6\u00dfe\n").encode("latin-1"),
    )  # fmt: skip
    change = LocalPlace(repository.folder).last_change(made, "f")
    assert change is not None
    assert (change.author, change.message) == ("Björn", "Größe\n")


@pytest.mark.parametrize("kind", ["working tree", "its .git", "alternates", "repacked", "packed refs"])
def test_repositories_of_many_kinds(kind: str, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "a", {"f": b"1", "d/g": b"2"}, bare=False)
    folder = repository.folder
    if kind == "its .git":
        folder = repository.control
    if kind == "alternates":
        run_git(tmp_path, "clone", "--quiet", "--shared", "--bare", str(folder), str(tmp_path / "b.git"))
        folder = tmp_path / "b.git"
    if kind == "repacked":
        repository.commits([{"f": b"%d" % number} for number in range(5)])
        repository.git("repack", "-adq", "--write-midx", "--write-bitmap-index")
        repository.git("commit-graph", "write", "--reachable")
    if kind == "packed refs":
        repository.git("pack-refs", "--all")
    place = LocalPlace(folder)
    tip = place.resolve(place.default_branch())
    assert tip == repository.tip()
    assert place.read(tip, "d/g", most_bytes=1) == b"2"
    assert place.stat(tip, "d/g").size == 1
    assert place.last_change(tip, "d/g") is not None
    assert all(check.is_ok for check in place.check(for_writing=True))


def linked(repository: Repository) -> Path:
    folder = repository.folder.with_name("linked")
    repository.git("worktree", "add", "-q", str(folder), "-b", "linked")
    return folder


def separate(repository: Repository) -> Path:
    folder = repository.folder.with_name("separate")
    run_git(folder.parent, "init", "-q", f"--separate-git-dir={folder}.git", str(folder))
    return folder


def reftable(repository: Repository) -> Path:
    repository.git("config", "core.repositoryformatversion", "1")
    repository.git("config", "extensions.refStorage", "reftable")
    return repository.folder


def partial(repository: Repository) -> Path:
    repository.git("config", "core.repositoryformatversion", "1")
    repository.git("config", "extensions.partialClone", "origin")
    return repository.folder


def sha256(repository: Repository) -> Path:
    return make_repository(repository.folder.with_name("b.git"), {"f": b"1"}, object_format="sha256").folder


@pytest.mark.parametrize("make", [linked, separate, reftable, partial, sha256])
def test_what_cannot_be_served_well_is_refused_with_the_reason(
    repository: Repository, make: Callable[[Repository], Path]
) -> None:
    place = LocalPlace(make(repository))
    with pytest.raises(Unsupported):
        place.refs()
    assert place.check(for_writing=False)[-1].name == "repository"
    assert not place.check(for_writing=False)[-1].is_ok


def test_a_folder_that_is_gone_or_no_repository_is_missing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(Missing):
            LocalPlace(folder).refs()
    (tmp_path / "config").write_text("[core\n")
    (tmp_path / "objects").mkdir()
    (tmp_path / "refs").mkdir()
    with pytest.raises(PlaceError):
        LocalPlace(tmp_path).refs()


def test_a_tree_that_git_would_not_check_out_is_not_listed(repository: Repository) -> None:
    blob = bytes.fromhex(repository.git("rev-parse", "main:f"))
    names = [b"", b".", b"..", b".git", b"a/b", b"good"]
    tree = b"".join(b"100644 " + name + b"\0" + blob for name in names)
    made = repository.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=tree)
    commit = repository.git("commit-tree", "-m", "x", made)
    place = LocalPlace(repository.folder)
    assert [entry.path for entry in place.list_files(commit)] == [".git", "good"]
    assert not paths.is_shown(".git")
    with pytest.raises(Missing):
        place.read(commit, ".git", most_bytes=10)


def test_a_tree_too_deep_or_too_wide_ends_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = "a/" * 250 + "f"
    repository = make_repository(tmp_path / "a.git", {deep: b"x"})
    place = LocalPlace(repository.folder)
    with pytest.raises(PlaceError, match="deeper than 200"):
        place.list_files(place.tip("main"))
    assert place.read(place.tip("main"), deep, most_bytes=1) == b"x"
    tree = repository.git("mktree", stdin=b"")
    for _ in range(12):  # 10^12 files, in 13 objects
        tree = repository.git(
            "mktree", stdin="".join(f"040000 tree {tree}\t{n}\n" for n in range(10)).encode()
        )
    monkeypatch.setattr(tree_edits, "MOST_FILES", 5000)
    with pytest.raises(PlaceError, match="5,000 files"):
        place.list_files(repository.git("commit-tree", "-m", "x", tree))


def test_fifty_thousand_files_are_listed(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "a.git", {"f": b"1"})
    blob = repository.git("rev-parse", "main:f")
    names = "".join(f"100644 blob {blob}\tvalues-{number:03d}.yaml\n" for number in range(500))
    folder = repository.git("mktree", stdin=names.encode())
    tree = repository.git(
        "mktree", stdin="".join(f"040000 tree {folder}\tapp-{number:03d}\n" for number in range(100)).encode()
    )
    listed = LocalPlace(repository.folder).list_files(repository.git("commit-tree", "-m", "x", tree))
    assert len(listed) == 50_000
    assert (listed[0].path, listed[-1].path) == ("app-000/values-000.yaml", "app-099/values-499.yaml")


def test_damage_anywhere_is_told_and_never_crashes(tmp_path: Path) -> None:
    """Each file of a repository, with loose and with packed objects, is changed in a byte or cut off."""
    repository = make_repository(tmp_path / "a.git", {"f": b"1" * 300, "d/g": b"2"})
    repository.commits([{"f": b"1" * 300 + b"%d" % number} for number in range(3)])
    repository.git("tag", "-a", "-m", "x", "v1")
    repository.git("repack", "-adq")
    repository.commit({"d/g": b"3"})
    tip, place, chance = repository.tip(), LocalPlace(repository.folder), Random(7)  # noqa: S311 -- the same each time
    files = [each for each in repository.folder.rglob("*") if each.is_file() and "hooks" not in each.parts]
    for file in files:
        whole, mode = file.read_bytes(), file.stat().st_mode
        for _ in range(4):
            file.chmod(0o644)
            file.write_bytes(damaged(whole, chance))
            look_at_all(place, tip)
        file.write_bytes(whole)
        file.chmod(mode)
    assert place.read(tip, "d/g", most_bytes=1) == b"3"


def damaged(whole: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(whole) or 1)
    if chance.random() < 0.3:
        return whole[:at]
    return whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :]


def look_at_all(place: LocalPlace, tip: str) -> None:
    looks: list[Callable[[], object]] = [
        place.refs,
        place.default_branch,
        lambda: place.tip("main"),
        lambda: place.resolve("v1"),
        lambda: place.list_files(tip),
        lambda: place.stat(tip, "f"),
        lambda: place.read(tip, "f", most_bytes=1000),
        lambda: place.last_change(tip, "d/g"),
        lambda: place.check(for_writing=True),
    ]
    for look in looks:
        try:
            look()
        except (PlaceError, TooLarge) as error:
            assert error.message.endswith((".", "here."))  # noqa: PT017 -- most looks succeed


def test_a_missing_object_is_told(repository: Repository) -> None:
    place = LocalPlace(repository.folder)
    tip = place.tip("main")
    blob = repository.git("rev-parse", "main:f")
    (repository.folder / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(PlaceError, match="git fsck"):
        place.read(tip, "f", most_bytes=10)
    assert [entry.path for entry in place.list_files(tip)] == ["d/f", "f"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "conf.git",
        "./conf.git",
        "file:///srv/x",
        "ext::sh -c id",
        "ssh://x/y",
        "-x",
        "/x\n",
        "/a\0b",
        "~/x",
    ],
)
def test_a_folder_is_named_by_its_absolute_path(text: str) -> None:
    with pytest.raises(ValueError, match="absolute path"):
        read_folder(text)


def test_a_folder_is_named_by_its_real_path(repository: Repository, tmp_path: Path) -> None:
    assert read_folder(str(repository.folder)) == repository.folder
    assert read_folder(f"{repository.folder}/") == repository.folder
    link = tmp_path / "link"
    link.symlink_to(repository.folder)
    for text in (str(link), f"{link}/../a.git", f"{repository.folder}/../a.git"):
        with pytest.raises(ValueError, match="real one"):
            read_folder(text)
    with pytest.raises(Missing, match="symbolic link"):
        LocalPlace(link).refs()
    with pytest.raises(ValueError, match="no folder"):
        read_folder(str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="no folder"):
        read_folder(str(repository.folder / "config"))


def test_a_repository_is_checked_step_by_step(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = LocalPlace(repository.folder)
    names = ["address", "repository", "branch", "read"]
    assert [check.name for check in place.check(for_writing=False)] == names
    assert [check.name for check in place.check(for_writing=True)] == [*names, "write"]
    for folder, name in ((tmp_path / "gone", "address"), (tmp_path, "repository")):
        assert [(check.name, check.is_ok) for check in LocalPlace(folder).check(for_writing=True)][-1] == (
            name,
            False,
        )
    empty = LocalPlace(make_repository(tmp_path / "e.git").folder).check(for_writing=True)
    assert (empty[-1].name, empty[-1].is_ok) == ("branch", False)
    hook = repository.folder / "hooks" / "update"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert "update" in place.check(for_writing=True)[-1].detail
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert "sharedRepository" in place.check(for_writing=True)[-1].detail
    repository.git("config", "core.sharedRepository", "group")
    assert place.check(for_writing=True)[-1].is_ok


def test_there_are_no_pull_requests_and_no_pages(repository: Repository) -> None:
    place = LocalPlace(repository.folder)
    with pytest.raises(Unsupported, match="merge"):
        place.open_proposal(ProposalDraft("t", "a", "main"))
    with pytest.raises(Unsupported):
        place.proposal("1")
    assert (place.link_to_file("main", "f"), place.link_to_branch("main"), place.budget()) == ("", "", None)


def test_a_clone_is_seen_as_git_sees_it(repository: Repository, tmp_path: Path) -> None:
    other = clone(repository, tmp_path / "clone")
    assert [ref.name for ref in LocalPlace(other.folder).refs()] == ["main"]


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("pattern") / "a.git", {"f": b"one", "d/f": b"two"})


@pytest.fixture
def repository(pattern: Repository, tmp_path: Path) -> Repository:
    return copy(pattern, tmp_path / "a.git")
