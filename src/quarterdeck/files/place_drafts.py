"""What somebody wants a place to be, and the rules that it is held to before anything is stored or called."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePosixPath
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from quarterdeck.core.actors import Role
from quarterdeck.core.errors import Invalid
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.paths import read_allowed, read_ref
from quarterdeck.files.places.addresses import read_authorities, read_base
from quarterdeck.hosts import addresses

T = TypeVar("T")

KINDS: Final = {
    PlaceKind.CLOUD: "Bitbucket Cloud",
    PlaceKind.DATACENTER: "Bitbucket Data Center",
    PlaceKind.LOCAL: "Local repository",
}
CLOUD_URL: Final = "https://api.bitbucket.org/2.0"
RESERVED_NAMES: Final = frozenset({"places", "changes", "add", "new"})
"""Words that are pages of their own under /files."""
WRITE_ROLES: Final = (Role.OPERATOR, Role.ADMINISTRATOR)
LONGEST_TOKEN: Final = 4096
LONGEST_AUTHORITIES: Final = 64 * 1024
_WORKSPACE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}\Z")
_PROJECT: Final = re.compile(r"~?[A-Za-z0-9][A-Za-z0-9._-]{0,126}\Z")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_USERNAME: Final = re.compile(r"[^\s:\x00-\x1f\x7f-\x9f]{1,254}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceDraft:
    """A place as it is to be; ``token`` None keeps the one that there is, an empty one takes it away."""

    name: str
    kind: PlaceKind
    url: str = ""
    project: str = ""
    repository: str = ""
    default_branch: str = ""
    allowed_paths: tuple[str, ...] = ()
    username: str = ""
    token: str | None = field(default=None, repr=False)
    authorities: str = ""
    read_role: Role = Role.VIEWER
    write_role: Role = Role.OPERATOR


PLAIN_FIELDS: Final = tuple(item.name for item in fields(PlaceDraft) if item.name != "token")
"""What may be shown of a place and written into the history."""
_WHERE: Final = ("kind", "url", "username")
"""Where a token goes, and beside which name: with another of these it has to be given anew."""


def checked(draft: PlaceDraft) -> PlaceDraft:
    """Return the draft in its normal form; raises Invalid with a message for each bad field."""
    faults = _Faults()
    draft = replace(
        draft,
        name=faults.read("name", _read_name, draft.name, draft.name),
        default_branch=faults.read("default_branch", _read_branch, draft.default_branch, ""),
        allowed_paths=faults.read("allowed_paths", read_allowed, draft.allowed_paths, ()),
    )
    _check_roles(draft, faults)
    check = {PlaceKind.LOCAL: _local, PlaceKind.CLOUD: _cloud, PlaceKind.DATACENTER: _datacenter}[draft.kind]
    draft = check(draft, faults)
    if draft.kind is not PlaceKind.LOCAL:
        _check_credential(draft, faults)
    if faults.fields:
        raise Invalid(faults.fields)
    return draft


def draft_of(record: PlaceRecord) -> PlaceDraft:
    """Return a place as a draft that changes nothing."""
    return PlaceDraft(**{name: getattr(record, name) for name in PLAIN_FIELDS})


def told(draft: PlaceDraft) -> dict[str, Any]:  # Any: JSON
    """Return what the history says of a place."""
    values = {name: getattr(draft, name) for name in PLAIN_FIELDS if name != "authorities"}
    plain = {name: list(value) if isinstance(value, tuple) else str(value) for name, value in values.items()}
    return plain | {"authorities": bool(draft.authorities), "token": bool(draft.token)}


def differences(before: PlaceRecord, draft: PlaceDraft) -> list[str]:
    """Return the names of the fields that a draft changes."""
    changed = [name for name in PLAIN_FIELDS if getattr(before, name) != getattr(draft, name)]
    if draft.token is not None and (draft.token or before.has_token):
        changed.append("token")
    return changed


def check_token_stays(before: PlaceRecord, draft: PlaceDraft) -> None:
    """Raise Invalid when a kept token would be sent elsewhere than whoever gave it had meant."""
    if (
        draft.token is None
        and before.has_token
        and any(_place_of(before, n) != _place_of(draft, n) for n in _WHERE)
    ):
        raise Invalid({"token": "The token would now go somewhere else: give it anew, or take it away."})


def _place_of(place: PlaceRecord | PlaceDraft, name: str) -> Any:  # Any: a field's value
    value = getattr(place, name)
    return urlsplit(value)[:2] if name == "url" else value


class _Faults:
    """The first message of each field."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def read(self, name: str, read: Callable[[Any], T], value: object, default: T) -> T:  # Any: as T wants it
        try:
            return read(value)
        except ValueError as error:
            self.add(name, str(error))
            return default

    def add(self, name: str, message: str) -> None:
        self.fields.setdefault(name, message)


def _read_name(text: str) -> str:
    name = addresses.read_name(text)
    if name.lower() in RESERVED_NAMES:
        raise ValueError(f"“{text}” is the address of a page of Quarterdeck; choose another name.")
    return name


def _read_branch(text: str) -> str:
    return read_ref(text) if text else ""


def _check_roles(draft: PlaceDraft, faults: _Faults) -> None:
    roles = tuple(Role)
    if draft.write_role not in WRITE_ROLES:
        faults.add("write_role", "Changing takes the role operator at least; grants let single viewers in.")
    elif roles.index(draft.read_role) > roles.index(draft.write_role):
        faults.add("read_role", "Whoever may change files must be able to read them: choose a lesser role.")


def _local(draft: PlaceDraft, faults: _Faults) -> PlaceDraft:
    path = draft.url
    if not path.startswith("/") or not path.isprintable() or len(path) > addresses.LONGEST_BASE:
        faults.add("url", "Give the absolute path of a folder on the master, such as /srv/git/settings.git.")
    elif ".." in PurePosixPath(path).parts:
        faults.add("url", "Leave out “..” of the path.")
    for name in ("project", "repository", "username", "token", "authorities"):
        if getattr(draft, name):
            faults.add(name, "A local repository has none.")
    return replace(
        draft, url=str(PurePosixPath(path)), project="", repository="", username="", authorities=""
    )


def _cloud(draft: PlaceDraft, faults: _Faults) -> PlaceDraft:
    if not _WORKSPACE.match(draft.project):
        faults.add("project", "Give the workspace as it stands in the address of the repository.")
    _check_repository(draft, faults)
    return replace(draft, url=faults.read("url", read_base, draft.url or CLOUD_URL, draft.url))


def _datacenter(draft: PlaceDraft, faults: _Faults) -> PlaceDraft:
    if not _PROJECT.match(draft.project):
        faults.add("project", "Give the project's key, or ~name for somebody's own repositories.")
    _check_repository(draft, faults)
    if not draft.url:
        faults.add("url", "Give the address of your Bitbucket, such as https://bitbucket.example.org.")
        return draft
    return replace(draft, url=faults.read("url", read_base, draft.url, draft.url))


def _check_repository(draft: PlaceDraft, faults: _Faults) -> None:
    if not _REPOSITORY.match(draft.repository):
        faults.add(
            "repository", "Give the repository as it stands in its address: letters, digits, . - and _."
        )


def _check_credential(draft: PlaceDraft, faults: _Faults) -> None:
    if draft.username and not _USERNAME.match(draft.username):
        faults.add("username", "A name or e-mail address has no spaces, no colon and at most 254 characters.")
    token = draft.token or ""
    if not (token.isascii() and token.isprintable() and " " not in token and len(token) <= LONGEST_TOKEN):
        faults.add("token", "A token has printable ASCII characters, no spaces and at most 4,096 of them.")
    if draft.authorities:
        faults.read("authorities", _read_authorities, draft.authorities, "")


def _read_authorities(text: str) -> str:
    if len(text) > LONGEST_AUTHORITIES:
        raise ValueError("At most 64 KB of certificates are accepted.")
    return read_authorities(text)
