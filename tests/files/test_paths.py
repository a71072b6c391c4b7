"""What a path, a pattern and a branch's name may be, with the tricks that others have fallen for."""

import re
import subprocess
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quarterdeck.files import paths

GOOD_PATHS = [
    "README.md",
    "conf/nginx/site.conf",
    ".gitignore",
    ".github/workflows/build.yml",
    ".gitattributes",
    "message",
    "branch",
    "a b/c d.txt",
    "größe/日本語.yml",
    "gro\u0308ße.txt",
    "100%/a+b#c?.txt",
    "git/config",
    "x.git/config",
    "HEAD",
    "...a",
    "a:b",
    "unit@1:2.service",
    "a-/b",
    "'quoted' \"twice\" $(id) `id` ;.txt",
    "<script>alert(1)</script>.txt",
    "{{7*7}}.txt",
    "x" * 255,
]

BAD_PATHS = [
    "",
    "/etc/passwd",
    "//etc/passwd",
    "conf/",
    "..",
    "../x",
    "a/../b",
    "a/..",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "-rf",
    "--upload-pack=id",
    "conf/-x",
    "a\\b",
    "..\\x",
    "C:\\x",
    "a\0b",
    "a\nb",
    "a\r\nSet-Cookie: x",
    "a\tb",
    "a\x1b[31m",
    "a\x7f",
    "a\x85",
    "a\u2028b",
    "a\u2029b",
    "invoice\u202efdp.exe",
    "a\u2066b",
    "a\u200eb",
    "a\u200bb",
    "a\u200db",
    "\ufeffa",
    "a\u00adb",
    "a\u00a0b",
    "a\u3000b",
    ".\u2000git",
    "a\u3164b",
    "a\u2800b",
    "a\ufe0f",
    "a\U000e0041",
    "a\ud800b",
    "a\U0010fffe",
    " a",
    "a ",
    "a./b",
    "a /b",
    "con.",
    "file:///etc/passwd",
    "file://x",
    "ext::sh -c id",
    "ssh://x/y",
    "https://x/y",
    "x" * 256,
    "ä" * 128,
    "a/" * 500 + "ab",
]

GIT_DISGUISES = [
    ".git",
    ".GIT",
    ".Git",
    ".git ",
    ".git.",
    ".git . .",
    "git~1",
    "GIT~1",
    "git~2",
    ".git::$INDEX_ALLOCATION",
    ".git:x",
    ".git\\x",
    ".g\u200cit",
    "\u200d.git",
    ".gi\u206at",
    "\ufeff.git",
    ".git\u200f",
    ".gıt",
    ".G\u0130T",
    "．ｇｉｔ",
]

BAD_REFS = [
    "",
    "-x",
    "--upload-pack=id",
    "a..b",
    "../x",
    "/a",
    "a/",
    "a//b",
    "a.",
    ".a",
    "a/.b",
    "a.lock",
    "a.lock/b",
    "a b",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "a[b",
    "a\\b",
    "a@{1}",
    "@",
    "HEAD",
    "refs/heads/main",
    "a\0",
    "a\nb",
    "a\x7f",
    "a\u202eb",
    "a\u200bb",
    "a\u00a0b",
    "a\ud800",
    "ext::sh -c id",
    "file:///x",
    "x" * 251,
]


@pytest.mark.parametrize("path", GOOD_PATHS)
def test_a_clean_path_is_taken_as_it_is(path: str) -> None:
    assert paths.read_path(path) == path
    assert paths.is_editable_path(path)
    assert paths.is_shown(path)
    assert paths.shown(path) == path


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_with_a_trick_is_refused(path: str) -> None:
    assert not paths.is_editable_path(path)
    with pytest.raises(ValueError, match=r"[.]$"):
        paths.read_path(path)


@pytest.mark.parametrize("name", GIT_DISGUISES)
@pytest.mark.parametrize("template", ["{}", "{}/config", "a/{}", "a/{}/hooks/pre-commit"])
def test_the_folder_of_git_is_refused_in_all_disguises(name: str, template: str) -> None:
    path = template.format(name)
    assert not paths.is_editable_path(path)
    assert not paths.is_shown(path)


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/..", "./a", "a\0b", "a\ud800"])
def test_a_path_that_git_would_not_check_out_is_not_shown(path: str) -> None:
    assert not paths.is_shown(path)


@pytest.mark.parametrize(
    ("path", "visible"),
    [
        ("a\nb", "a\\x0ab"),
        ("a\x1b[31m", "a\\x1b[31m"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("a\u00a0b", "a\\xa0b"),
        ("a\U000e0041", "a\\U000e0041"),
        ("größe", "größe"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape(path: str, visible: str) -> None:
    assert paths.is_shown(path)
    assert paths.shown(path) == visible


def test_a_byte_that_is_no_utf_8_is_shown_and_never_edited() -> None:
    path = paths.decode_path(b"K\xf6ln.txt")
    assert paths.shown(path) == "K\\xf6ln.txt"
    assert paths.is_shown(path)
    assert not paths.is_editable_path(path)
    path.encode()


@given(st.binary(max_size=40))
@example("\U0010ffe9".encode())
@example(b"\xed\xa0\x80")
@example("\U0010ff7f\U0010ff80".encode() + b"\xff")
@settings(max_examples=100, deadline=None)
def test_any_bytes_of_a_path_come_back(path: bytes) -> None:
    text = paths.decode_path(path)
    assert paths.encode_path(text) == path
    text.encode()


@given(st.text(max_size=30))
@example("..")
@example("a/.git")
@settings(max_examples=100, deadline=None)
def test_a_taken_path_is_harmless(text: str) -> None:
    if not paths.is_editable_path(text):
        return
    parts = text.split("/")
    assert not {"", ".", "..", ".git"} & {part.lower() for part in parts}
    assert not any(unicodedata.category(each)[0] == "C" or each == "\\" for each in text)
    assert not any(part.startswith("-") for part in parts)
    assert paths.is_shown(text)
    assert paths.encode_path(text) == text.encode()


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_shown_text_is_one_line_that_reads_in_one_direction(text: str) -> None:
    assert all(unicodedata.category(each)[0] != "C" for each in paths.shown(text))
    assert len(paths.shown(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("pattern", "fitting", "other"),
    [
        ("conf", ["conf", "conf/a", "conf/a/b"], ["confx", "a/conf", "config/a", "Conf/a"]),
        ("conf/", ["conf/a", "conf/a/b"], ["conf", "confx/a"]),
        ("conf/*.yml", ["conf/a.yml", "conf/.yml"], ["conf/a/b.yml", "conf/a.yaml", "conf/a.ymlx"]),
        ("**/values.yaml", ["values.yaml", "a/values.yaml", "a/b/values.yaml"], ["a/xvalues.yaml"]),
        ("a/**/b/*.c", ["a/b/x.c", "a/x/y/b/x.c", "a/b/b/x.c"], ["b/x.c", "a/b/x/y.c"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a"]),
        ("**", ["a", "a/b"], []),
        ("a?.txt", ["ab.txt"], ["a.txt", "a/.txt", "abc.txt"]),
        ("a*b*c", ["abc", "axxbxxc", "abbcc", "abcbc"], ["ab", "a/b/c", "abcd"]),
        ("[ab].txt", ["[ab].txt"], ["a.txt"]),
        ("a.c", ["a.c"], ["abc"]),
    ],
)
def test_patterns(pattern: str, fitting: list[str], other: list[str]) -> None:
    allowed = paths.read_allowed([pattern])
    assert [path for path in fitting if not paths.is_allowed(path, allowed)] == []
    assert [path for path in other if paths.is_allowed(path, allowed)] == []


def test_without_patterns_all_is_allowed_and_with_several_what_fits_one() -> None:
    assert paths.is_allowed("anything/at all", ())
    allowed = paths.read_allowed([" conf/ ", "", "*.md", "*.md"])
    assert allowed == ("conf/", "*.md")
    assert paths.is_allowed("README.md", allowed)
    assert paths.is_allowed("conf/x", allowed)
    assert not paths.is_allowed("src/x", allowed)


@pytest.mark.parametrize(
    "pattern", ["/", ".", "/conf", "../x", "a//b", "a/**b", "**/a/**/b/**", "-x", ".git/", "a\\b", "a\u202eb"]
)
def test_a_pattern_that_could_mean_more_than_it_says_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="“"):
        paths.read_allowed([pattern])


def test_a_pattern_of_many_stars_ends_soon() -> None:
    allowed = paths.read_allowed(["**/" + "a*" * 60 + "b", "a?" * 100 + "/" + "*x" * 60])
    assert not paths.is_allowed("a" * 250 + "/" + "ax" * 120 + "c/" + "a" * 250, allowed)


@pytest.mark.parametrize(
    "name", ["main", "feature/a-b", "v1.0", "größe", "a@b", "a.b/c", "0" * 40, "x" * 250]
)
def test_a_good_name_of_a_branch_is_taken(name: str) -> None:
    assert paths.read_ref(name) == name


@pytest.mark.parametrize("name", BAD_REFS)
def test_a_name_that_is_no_branch_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"[.]$"):
        paths.read_ref(name)


@given(st.text("ab./@{}-~^:?*[\\ \x01lock", min_size=1, max_size=8).filter(lambda text: "\0" not in text))
@settings(max_examples=60, deadline=None)
def test_no_name_is_taken_that_git_refuses(name: str) -> None:
    try:
        paths.read_ref(name)
    except ValueError:
        return
    answer = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False)
    assert answer.returncode == 0, name


@given(st.text(max_size=60), st.text(max_size=60), st.text("0123456789abcdef", min_size=1, max_size=12))
@example("ada.lock", "x.lock", "0a")
@example("../..", "a/..", "0a")
@example("-", "...", "0a")
@example("Ada Lovelace", "conf/größe.yml", "0a")
@settings(max_examples=100, deadline=None)
def test_a_temporary_branch_has_a_plain_name(person: str, path: str, short_id: str) -> None:
    name = paths.branch_name(person, path, short_id)
    assert paths.read_ref(name) == name
    assert re.fullmatch(r"quarterdeck/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", name)
    assert name.endswith(f"-{short_id}")


def test_a_temporary_branch_tells_person_and_file() -> None:
    assert paths.branch_name("Ada L.", "conf/café.yml", "7f3a") == "quarterdeck/Ada-L/cafe.yml-7f3a"
