"""What a path, a pattern of paths and the name of a branch may be; pure, and the only judge of it.

A path is hostile wherever it comes from. ``read_path`` is for what is to be written and what is asked for in
order to edit; what is merely listed and looked at may have any name that git would check out (``is_shown``),
and goes to the screen through ``shown``.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from quarterdeck.files.models import PATH_LENGTH, REF_LENGTH

PART_BYTES = 255
"""The longest file name that common file systems take."""
MOST_ALLOWED = 100

_BLANKS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
"""Seen as nothing although Unicode counts them as letters, marks or symbols."""
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:/|:)")
"""How "file://", "https://" and git's "ext::" begin."""
_NTFS_GIT = re.compile(r"(?:\.git|git~[0-9]+)[ .]*(?:[:\\/].*)?", re.DOTALL)
"""What NTFS opens as ".git": short names, trailing blanks and dots, named streams."""
_BYTE_BASE = 0x10FF00
"""A byte of a path that is no UTF-8 stands as this private character plus the byte (see ``decode_path``)."""
_FOREIGN = re.compile("[\U0010ff80-\U0010ffff]")
_MOST_SHOWN = 4096


def read_path(text: str) -> str:
    """Return the path as it is; raises ValueError, with a message for people, when it is not a clean one.

    Nothing is trimmed or normalized: another spelling would be another file.
    """
    if not text:
        raise ValueError("Give the path of a file.")
    if len(text) > PATH_LENGTH:
        raise ValueError(f"A path has at most {PATH_LENGTH:,} characters.")
    if text.startswith("/"):
        raise ValueError("A path begins at the top of the repository, without a “/” before it.")
    if text.endswith("/"):
        raise ValueError("A path ends with the name of a file, not with “/”.")
    if _ADDRESS.match(text):
        raise ValueError("That is an address; give the path of a file in the repository.")
    _check_characters(text, "A path")
    for part in text.split("/"):
        _check_part(part)
    return text


def is_editable_path(path: str) -> bool:
    """Say whether ``read_path`` takes it."""
    try:
        read_path(path)
    except ValueError:
        return False
    return True


def is_shown(path: str) -> bool:
    """Say whether a path of a listing is one that git would check out, so that it may be offered at all."""
    parts = path.split("/")
    if len(path) > _MOST_SHOWN or "\0" in path or "" in parts or "." in parts or ".." in parts:
        return False
    if path.isascii() and "git" not in path.lower():  # nearly all of a large listing
        return True
    return not _has_surrogate(path) and not any(_is_git_folder(part) for part in parts)


def shown(path: str) -> str:
    """Return a path for the screen: what can't be seen, or turns the reading direction, as an escape."""
    return "".join(_visible(each) for each in path)


def decode_path(path: bytes) -> str:
    """Return git's bytes as text that can be stored, sent and shown; ``encode_path`` gives them back.

    A byte that is no UTF-8 becomes a private character: such a path can be looked at, but not be edited.
    """
    if path.isascii():
        return path.decode("ascii")
    try:
        text = path.decode()
    except UnicodeDecodeError:
        text = path.decode(errors="surrogateescape")
    else:
        if not _FOREIGN.search(text):
            return text
    return "".join(_kept(each) for each in text)


def encode_path(path: str) -> bytes:
    """Return the bytes that git has for a path; raises ValueError for a lone surrogate."""
    if not _FOREIGN.search(path):
        return path.encode()
    return b"".join(
        bytes([ord(each) - _BYTE_BASE]) if _FOREIGN.match(each) else each.encode() for each in path
    )


def read_allowed(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns that paths must fit, without blank and repeated ones; raises ValueError.

    ``conf`` is a file or a folder with all below it, ``conf/`` a folder, ``*`` and ``?`` stand for what is
    no ``/``, and ``**`` for any number of folders. A pattern begins at the top of the repository.
    """
    patterns = tuple(dict.fromkeys(text.strip() for text in texts if text.strip()))
    if len(patterns) > MOST_ALLOWED:
        raise ValueError(f"At most {MOST_ALLOWED} paths and patterns can be given.")
    for pattern in patterns:
        _check_pattern(pattern)
    return patterns


def is_allowed(path: str, allowed: Sequence[str]) -> bool:
    """Say whether a path fits one of the patterns; with no pattern all do."""
    return not allowed or _pattern_of(tuple(allowed)).fullmatch(path) is not None


def read_ref(text: str) -> str:
    """Return the name of a branch or tag, or a full hash, as it is; raises ValueError.

    The rules are those of ``git check-ref-format --branch``, and nothing that can't be seen.
    """
    if not text:
        raise ValueError("Give the name of a branch or a tag.")
    if len(text.encode(errors="replace")) > REF_LENGTH:
        raise ValueError(f"The name of a branch has at most {REF_LENGTH} bytes.")
    if text.startswith("-"):
        raise ValueError("The name of a branch can't begin with “-”.")
    if text in ("@", "HEAD") or text.startswith("refs/"):
        raise ValueError("Give a branch or a tag by its short name, such as “main”.")
    if found := re.search(r"[ ~^:?*\[\\]|\.\.|@\{|//", text):
        raise ValueError(f"The name of a branch can't hold “{found[0]}”.")
    _check_characters(text, "The name of a branch")
    if text.startswith("/") or text.endswith(("/", ".")):
        raise ValueError("The name of a branch can't begin with “/” or end with “/” or “.”.")
    if any(part.startswith(".") or part.endswith(".lock") for part in text.split("/")):
        raise ValueError("No part of a branch's name can begin with “.” or end with “.lock”.")
    return text


def branch_name(person: str, path: str, short_id: str) -> str:
    """Return the name of a temporary branch: ``quarterdeck/<person>/<file>-<short id>``, in plain ASCII."""
    file = path.rsplit("/", 1)[-1]
    return f"quarterdeck/{_plain(person, 40) or 'person'}/{_plain(file, 80) or 'file'}-{_plain(short_id, 40)}"


def _check_part(part: str) -> None:
    if not part:
        raise ValueError("A path can't hold “//”.")
    if part in (".", ".."):
        raise ValueError(f"A path can't hold “{part}” as a folder.")
    if _is_git_folder(part):
        raise ValueError("A path can't lead into git's own folder.")
    if part.startswith("-"):
        raise ValueError("No part of a path can begin with “-”.")
    if part != part.strip(" ") or part.endswith("."):
        raise ValueError("No part of a path can begin or end with a blank, or end with a dot.")
    if len(part.encode()) > PART_BYTES:
        raise ValueError(f"Each part of a path has at most {PART_BYTES} bytes.")


def _check_characters(text: str, subject: str) -> None:
    if "\\" in text:
        raise ValueError(f"{subject} can't hold a backslash; folders are parted by “/”.")
    if hidden := next((each for each in text if _is_hidden(each)), ""):
        raise ValueError(f"{subject} can't hold the character U+{ord(hidden):04X}, which can't be seen.")


def _is_hidden(character: str) -> bool:
    """Say whether it is a control, a direction mark, a blank other than the space, or not assigned at all."""
    if character.isascii():
        return not character.isprintable()
    return (
        unicodedata.category(character)[0] in "CZ"
        or character in _BLANKS
        or _is_variation_selector(character)
    )


def _is_variation_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _is_git_folder(part: str) -> bool:
    """Say whether some file system would take the name for ``.git``, and so git refuses to check it out.

    HFS+ leaves out what can't be seen and folds case; this goes further and leaves out accents too.
    """
    if part.isascii():
        return _NTFS_GIT.fullmatch(part.lower()) is not None
    letters = (each for each in unicodedata.normalize("NFKD", part) if not _is_ignored(each))
    return _NTFS_GIT.fullmatch("".join(letters).casefold().replace("ı", "i")) is not None


def _is_ignored(character: str) -> bool:
    return not character.isascii() and (_is_hidden(character) or unicodedata.category(character)[0] == "M")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= each <= "\udfff" for each in text)


def _visible(character: str) -> str:
    if _FOREIGN.match(character):
        return f"\\x{ord(character) - _BYTE_BASE:02x}"
    if not _is_hidden(character):
        return character
    return f"\\x{ord(character):02x}" if character.isascii() else ascii(character)[1:-1]


def _kept(character: str) -> str:
    """Return a character of a foreign path: stray bytes, and what looks like our sign for one, as signs."""
    if "\udc80" <= character <= "\udcff":
        return chr(_BYTE_BASE + ord(character) - 0xDC00)
    if _FOREIGN.match(character):
        return "".join(chr(_BYTE_BASE + byte) for byte in character.encode())
    return character


def _check_pattern(pattern: str) -> None:
    try:
        read_path(pattern.replace("*", "x").removesuffix("/"))
    except ValueError as error:
        raise ValueError(f"“{shown(pattern[:100])}”: {error}") from error
    parts = pattern.split("/")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError(f"“{pattern[:100]}”: “**” stands alone between two “/”.")
    if parts.count("**") > 2:
        raise ValueError(f"“{pattern[:100]}”: “**” can stand at most twice in a pattern.")


@lru_cache(maxsize=256)
def _pattern_of(allowed: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(_expression(pattern) for pattern in allowed), re.DOTALL)


def _expression(pattern: str) -> str:
    *folders, last = pattern.split("/")
    before = "".join("(?:[^/]+/)*?" if part == "**" else f"{_part_expression(part)}/" for part in folders)
    if last in ("", "**"):
        return f"{before}.+"
    return f"{before}{_part_expression(last)}(?:/.+)?"


def _part_expression(part: str) -> str:
    """Return an expression for a name; each star takes the least it can and is final: never exponential."""
    first, *others = (re.escape(piece).replace(r"\?", "[^/]") for piece in re.split(r"\*+", part))
    if not others:
        return first
    *middle, last = others
    return f"{first}{''.join(f'(?>[^/]*?{piece})' for piece in middle)}[^/]*{last}(?![^/])"


def _plain(text: str, most: int) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", ascii_text)
    return re.sub(r"([.-])[.-]+", r"\1", words)[:most].strip(".-").replace(".lock", "-lock")
