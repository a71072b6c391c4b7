"""What the edges accept for changes of files."""

import base64
import binascii
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form, example
from quarterdeck.files.changes.committing import CommitWish
from quarterdeck.files.changes.conflicts import Decision, Keep, Side
from quarterdeck.files.changes.first import FirstFile
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.proposing import ProposalWish
from quarterdeck.files.changes.states import NOT_FINAL
from quarterdeck.files.changes.store import ChangeQuery
from quarterdeck.files.models import PATH_LENGTH, REF_LENGTH, ChangeState, DraftAction

UNFINISHED: Final = "unfinished"
"""The filter for whatever has not come to its end."""
PAGE_SIZE: Final = 50
MOST_LISTED: Final = 500
_LONGEST_TEXT: Final = 2_000_000
_MOST_HUNKS: Final = 10_000


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


Word = Annotated[str, BeforeValidator(_trimmed), Field(max_length=REF_LENGTH)]
Path = Annotated[str, Field(max_length=PATH_LENGTH)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class FileBody(Form, title="NewChangeFile"):
    """A file to be updated, made, renamed (``new_path``) or deleted."""

    model_config = example({"path": "conf/app.yml"})

    path: Path
    action: DraftAction = DraftAction.UPDATE
    new_path: Path = ""
    encoding: Word = Field(default="", description="Of a text that is no UTF-8.")

    def wanted(self) -> Wanted:
        return Wanted(self.path, self.action, self.new_path, encoding=self.encoding)


class FirstCommitBody(Form, title="NewFirstCommit"):
    """The file that an empty repository begins with, as UTF-8 with line feeds."""

    model_config = example({"path": "README.md", "text": "# Configuration\n", "message": "Begin"})

    path: Path
    text: str = Field(default="", max_length=_LONGEST_TEXT)
    message: str = Field(max_length=20_000)

    def file(self) -> FirstFile:
        return FirstFile(self.path, self.text, self.message)


class ChangeBody(FileBody, title="NewChange"):
    """A change to begin. Without ``base``, it begins from where the target is now."""

    model_config = example({"place": "example", "path": "conf/app.yml"})

    place: Word
    target: Word = Field(default="", description="The branch to change; empty: the place's own.")
    base: Word = Field(default="", description="The full hash of the commit that was looked at.")

    def wanted(self) -> Wanted:
        return Wanted(self.path, self.action, self.new_path, self.target, self.base, self.encoding)


class DraftBody(Form, title="NewDraft"):
    """What a file is to be: as text, in the file's own line ends and encoding, or as bytes."""

    model_config = example({"text": "port: 8080\n", "version": 1})

    text: str | None = Field(default=None, max_length=_LONGEST_TEXT)
    content_base64: str | None = Field(default=None, max_length=14_000_000)
    version: Version | None = Field(
        default=None, description="The version that was read: another one is not written over (409)."
    )

    def content(self) -> bytes | None:
        """Return the bytes, None where text is given; raises Invalid unless it is one of both."""
        if (self.text is None) == (self.content_base64 is None):
            raise Invalid({"text": "Send text or content_base64, one of both."})
        if self.content_base64 is None:
            return None
        try:
            return base64.b64decode(self.content_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Invalid({"content_base64": "This is no base64."}) from error


class CommitBody(Form, title="NewCommit"):
    """A commit of all that waits."""

    model_config = example({"message": "Raise the limit"})

    message: str = Field(max_length=20_000)
    tip: Word = Field(default="", description="The branch's tip that was seen: asked twice, it is done once.")
    despite_target: bool = Field(
        default=False, description="Commit also where the target has another version of a file by now."
    )

    def wish(self) -> CommitWish:
        return CommitWish(self.message, self.tip, self.despite_target)


class ConflictBody(Form, title="ConflictDecision"):
    """How a conflict is solved: whole (``keep``), by hunk (``choices``), or by a text of one's own."""

    model_config = example({"commit": "0" * 40, "side": "target", "keep": "mine"})

    commit: Word = Field(description="As the conflict said it.")
    side: Side
    version: Version | None = None
    keep: Keep | None = None
    choices: dict[str, str] = Field(
        default_factory=dict, max_length=_MOST_HUNKS, description="mine, theirs, both or own by hunk number."
    )
    own: dict[str, str] = Field(default_factory=dict, max_length=_MOST_HUNKS)
    text: str | None = Field(default=None, max_length=_LONGEST_TEXT)

    def decision(self) -> Decision:
        return Decision(
            checked_hash(self.commit),
            self.side,
            self.version,
            self.keep,
            _numbered("choices", self.choices),
            _numbered("own", self.own),
            self.text,
        )


class ProposeBody(Form, title="NewPullRequest"):
    """A pull request from the change's branch into its target."""

    model_config = example({"title": "Raise the limit"})

    title: str = Field(max_length=1_000)
    description: str = Field(default="", max_length=50_000)
    reviewers: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="Cloud: account UUIDs in braces; Data Center: user names.",
    )
    close_source: bool = Field(default=True, description="Remove the branch once it is merged.")

    def wish(self) -> ProposalWish:
        return ProposalWish(self.title, self.description, tuple(self.reviewers), self.close_source)


class ChangeListQuery(Form):
    """Which changes to list, newest first."""

    state: str = Field(
        default=UNFINISHED,
        max_length=80,
        description="Words with commas, `unfinished` for all without an end, or `all`.",
    )
    person: Word = ""
    place: Word = ""
    q: Word = Field(default="", description="Part of a path or of a branch.")
    cursor: Word = ""
    limit: int = Field(default=PAGE_SIZE, ge=1, le=MOST_LISTED)

    def query(self) -> ChangeQuery:
        return ChangeQuery(states_of(self.state), self.person, self.place, self.q, self.cursor, self.limit)


class DraftQuery(Form):
    """Which file of a change."""

    path: Path


class DifferenceQuery(Form):
    """How to compare."""

    ignore_space: bool = False
    context: int = Field(default=3, ge=0, le=100)


def states_of(text: str) -> tuple[ChangeState, ...]:
    """Return the states that a filter names; raises Invalid."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == ["all"]:
        return ()
    if words in ([], [UNFINISHED]):
        return NOT_FINAL
    if not set(words) <= set(ChangeState):
        raise Invalid({"state": f"Use all, {UNFINISHED}, or {', '.join(ChangeState)}."})
    return tuple(ChangeState(word) for word in words)


def checked_hash(text: str) -> str:
    """Return the full hash of a commit; raises Invalid for anything else."""
    if len(text) in (40, 64) and all(character in "0123456789abcdef" for character in text):
        return text
    raise Invalid({"commit": "This is no full hash of a commit."})


def _numbered(name: str, values: dict[str, str]) -> dict[int, str]:
    try:
        return {int(number): value for number, value in values.items()}
    except ValueError as error:
        raise Invalid({name: "Name each hunk by its number."}) from error
