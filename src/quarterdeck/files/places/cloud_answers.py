"""Bitbucket Cloud's JSON, read member by member: what is missing or of another form is never believed."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from quarterdeck.files.places.answers import clean
from quarterdeck.files.places.place import (
    CommitInfo,
    Entry,
    EntryKind,
    Proposal,
    ProposalState,
    Ref,
    Stat,
    Unanswered,
)

FULL_HASH: Final = re.compile(r"[0-9a-f]{40}\Z")
_UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_PATH: Final = 4096
_STATES: Final = {
    "OPEN": ProposalState.OPEN,
    "MERGED": ProposalState.MERGED,
    "DECLINED": ProposalState.DECLINED,
    "SUPERSEDED": ProposalState.DECLINED,
}

Json = Mapping[str, Any]  # Any: a stranger's JSON


def inner(value: object, *names: str) -> Any:  # Any: a stranger's JSON
    """Return a member of members, None when any on the way is missing or no object."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def text_of(value: object, *names: str) -> str:
    """Return a text within an object, empty when it is missing."""
    found = inner(value, *names)
    return found if isinstance(found, str) else ""


def values_of(page: Json) -> list[Json]:
    """Return the objects of a page; raises Unanswered when it is no page."""
    values = page.get("values")
    if not isinstance(values, list):
        raise Unanswered("Bitbucket answered with a list in a form that is not known here.")
    return [value for value in values if isinstance(value, Mapping)]


def hash_of(value: object, *names: str) -> str:
    """Return a full commit hash; raises Unanswered when it is none."""
    found = text_of(value, *names)
    if FULL_HASH.match(found):
        return found
    raise Unanswered("Bitbucket answered without the commit that was asked for.")


def time_of(value: object, *names: str) -> datetime | None:
    """Return a time in UTC, None when it is missing or broken."""
    try:
        found = datetime.fromisoformat(text_of(value, *names))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def ref_of(value: Json, *, is_tag: bool) -> Ref | None:
    """Return a branch or tag, None for one that has no name or no commit."""
    name, commit = text_of(value, "name"), text_of(value, "target", "hash")
    if not name or not FULL_HASH.match(commit):
        return None
    return Ref(name, commit, is_tag=is_tag, changed_at=time_of(value, "target", "date"))


def is_folder(value: Json) -> bool:
    return value.get("type") == "commit_directory"


def path_of(value: Json) -> str:
    """Return the path of an entry, empty for one that can't be asked for again."""
    path = text_of(value, "path")
    parts = path.split("/")
    if len(path) > _MOST_PATH or "\0" in path or any(part in ("", ".", "..") for part in parts):
        return ""
    return path


def entry_of(value: Json) -> Entry | None:
    """Return a path of a listing, None for what is no file."""
    path = path_of(value)
    if not path or value.get("type") != "commit_file":
        return None
    return Entry(path, _kind(_attributes(value)), _size(value))


def stat_of(value: Json, path: str) -> Stat:
    """Return what a file's meta data say."""
    attributes = _attributes(value)
    return Stat(path, _kind(attributes), _size(value) or 0, is_executable="executable" in attributes)


def change_of(value: Json) -> CommitInfo | None:
    """Return the commit of an entry of a file's history, None when it has none."""
    commit = text_of(value, "commit", "hash")
    if not FULL_HASH.match(commit):
        return None
    return CommitInfo(
        commit,
        _author(inner(value, "commit", "author")),
        time_of(value, "commit", "date") or _UNKNOWN_TIME,
        text_of(value, "commit", "message"),
    )


def proposal_of(value: Json, *, web_base: str) -> Proposal:
    """Return a pull request; its link only when it leads to the place's own pages."""
    number = value.get("id")
    if not isinstance(number, int):
        raise Unanswered("Bitbucket answered without the pull request that was asked for.")
    state = _STATES.get(text_of(value, "state"), ProposalState.OPEN)
    url = text_of(value, "links", "html", "href")
    if not web_base or not url.startswith(f"{web_base}/") or not url.isprintable() or len(url) > 1000:
        url = ""
    return Proposal(str(number), url, state, clean(value.get("title")))


def _attributes(value: Json) -> frozenset[str]:
    """Return the marks of a file: real answers hold a list, the published schema says a single text."""
    found = value.get("attributes")
    marks = [found] if isinstance(found, str) else found
    if not isinstance(marks, list):
        return frozenset()
    return frozenset(each for each in marks if isinstance(each, str))


def _kind(attributes: frozenset[str]) -> EntryKind:
    if "subrepository" in attributes:
        return EntryKind.SUBMODULE
    return EntryKind.LINK if "link" in attributes else EntryKind.FILE


def _size(value: Json) -> int | None:
    size = value.get("size")
    return size if isinstance(size, int) and size >= 0 else None


def _author(value: object) -> str:
    """Return a name: the account's, else that of the commit, never the address."""
    name = text_of(value, "user", "display_name") or text_of(value, "raw").partition("<")[0]
    return clean(name, 100)
