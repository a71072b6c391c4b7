"""What the edges accept for places, and for questions about what is in them."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from quarterdeck.core.actors import Role
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form, example, parse
from quarterdeck.files.models import PATH_LENGTH, REF_LENGTH, PlaceKind, PlaceRecord
from quarterdeck.files.paths import read_ref
from quarterdeck.files.place_drafts import PLAIN_FIELDS, PlaceDraft, draft_of

LONGEST_PATH: Final = 4 * PATH_LENGTH
"""Of a path that is looked at: a repository may hold longer ones than may be written here."""


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _lines(value: object) -> object:
    return [line.strip() for line in value.splitlines() if line.strip()] if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_trimmed), Field(max_length=500)]
Patterns = Annotated[list[Annotated[str, Field(max_length=PATH_LENGTH)]], Field(max_length=100)]
Secret = Annotated[str, BeforeValidator(_trimmed), Field(max_length=10_000)]
Pem = Annotated[str, Field(max_length=100_000)]


class PlaceBody(Form, title="NewPlace"):
    """A place of files as programs write it. The token is taken and never given back."""

    model_config = example(
        {
            "name": "wiki",
            "kind": "cloud",
            "project": "acme",
            "repository": "wiki",
            "username": "bot@example.org",
            "token": "…",
        }
    )

    name: Text
    kind: PlaceKind
    url: Text = Field(
        default="",
        description="Of Data Center its address, of a local place the folder on the master; else empty.",
    )
    project: Text = Field(default="", description="Of Cloud the workspace, of Data Center the project's key.")
    repository: Text = ""
    default_branch: Text = Field(default="", description="Empty: the repository's own.")
    allowed_paths: Patterns = Field(default_factory=list, description="Files, folders, patterns; empty: all.")
    username: Text = Field(default="", description="What goes with the token; empty: the token is a bearer.")
    token: Secret = Field(default="", repr=False)
    authorities: Pem = Field(default="", description="PEM of authorities to trust besides the machine's.")
    read_role: Role = Role.VIEWER
    write_role: Role = Role.OPERATOR

    def draft(self) -> PlaceDraft:
        values = {name: getattr(self, name) for name in PLAIN_FIELDS}
        return PlaceDraft(**values | {"allowed_paths": tuple(self.allowed_paths)}, token=self.token)


class PlacePatch(Form, title="PlaceChange"):
    """What to change of a place; what is left out stays. An empty token takes the stored one away."""

    model_config = example({"write_role": "administrator"})

    name: Text | None = None
    kind: PlaceKind | None = None
    url: Text | None = None
    project: Text | None = None
    repository: Text | None = None
    default_branch: Text | None = None
    allowed_paths: Patterns | None = None
    username: Text | None = None
    token: Secret | None = Field(default=None, repr=False)
    authorities: Pem | None = None
    read_role: Role | None = None
    write_role: Role | None = None

    def applied_to(self, record: PlaceRecord) -> PlaceDraft:
        """Return the place with these changes."""
        kept = {name: getattr(draft_of(record), name) for name in PLAIN_FIELDS}
        given = {name: value for name in PLAIN_FIELDS if (value := getattr(self, name)) is not None}
        values = kept | given
        return PlaceDraft(**values | {"allowed_paths": tuple(values["allowed_paths"])}, token=self.token)


class PlaceForm(PlaceBody):
    """The fields of the page; the patterns stand on lines of their own."""

    allowed_paths: Annotated[Patterns, BeforeValidator(_lines)] = Field(default_factory=list)
    forget_token: bool = False

    def changed(self) -> PlaceDraft:
        """Return the place with what the page says; an empty field keeps the token."""
        token = "" if self.forget_token else (self.token or None)
        values = {name: getattr(self, name) for name in PLAIN_FIELDS}
        return PlaceDraft(**values | {"allowed_paths": tuple(self.allowed_paths)}, token=token)


def values_of(record: PlaceRecord) -> dict[str, str]:
    """Return what the fields of the page hold for a place."""
    values = {name: str(getattr(record, name)) for name in PLAIN_FIELDS}
    return values | {"allowed_paths": "\n".join(record.allowed_paths)}


def read_place_form(values: Mapping[str, Any]) -> PlaceForm:  # Any: texts of a form
    return parse(PlaceForm, values)


Path = Annotated[str, Field(max_length=LONGEST_PATH)]


class RefQuery(Form):
    """Where something is looked at: a branch, a tag or a full commit; empty: the default branch."""

    ref: Annotated[str, Field(max_length=REF_LENGTH)] = ""

    def checked_ref(self) -> str:
        """Return the ref; raises Invalid for what can be none."""
        try:
            return read_ref(self.ref) if self.ref else ""
        except ValueError as error:
            raise Invalid({"ref": str(error)}) from error


class FilesQuery(RefQuery):
    """Which files: those that fit the words, the best first; without words the first ones by path."""

    q: Annotated[str, Field(max_length=1_000)] = ""
    limit: int = Field(default=50, ge=1, le=1_000)


class RefsQuery(Form):
    """Which branches and tags: those whose name holds the text."""

    q: Annotated[str, Field(max_length=REF_LENGTH)] = ""
    limit: int = Field(default=100, ge=1, le=500)


class FileQuery(RefQuery):
    """Which file, and in what encoding its text is to be read; empty: UTF-8, or what its first bytes say."""

    path: Path
    encoding: Annotated[str, Field(max_length=20)] = ""


class RawQuery(RefQuery):
    """Which file."""

    path: Path


class ChooseQuery(RefQuery):
    """The page of a place: words to find files by, the open folder, a text to find branches by."""

    q: Annotated[str, Field(max_length=1_000)] = ""
    path: Path = ""
    refs: Annotated[str, Field(max_length=REF_LENGTH)] = ""


class ViewQuery(FileQuery):
    """The page of a file; ``lines`` marks some of them: ``12`` or ``12-20``."""

    lines: Annotated[str, Field(pattern=r"^([0-9]{1,7}(-[0-9]{1,7})?)?$")] = ""

    @property
    def marked(self) -> tuple[int, int]:
        """The first and the last marked line; the first is beyond the last where none is."""
        if not self.lines:
            return 1, 0
        first, _, last = self.lines.partition("-")
        ends = int(first), int(last or first)
        return min(ends), max(ends)
