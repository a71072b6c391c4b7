"""What a place can do, whatever stands behind it, and the values and errors that pass between.

PlaceError, each with a message that says what to do next
├── Refused       the credential is bad, or lacks a scope or a permission
├── Missing       no such repository, branch, commit or file, or no right to see it
├── Stale         the branch has moved, or the file was changed, since the base that was given
├── Unchanged     nothing differs from the base
├── Exists        there is a branch, a file or a pull request of that name already
├── PartlyCommitted  some files are committed, the rest is not; only where a commit has one file
├── Throttled     the place wants to be left alone for a while; carries the seconds
├── Unanswered    no answer, a broken one, or an error of the place's own (Bitbucket's 5xx)
└── Unsupported   this kind of place has no such thing
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final, Protocol

from quarterdeck.core.errors import QuarterdeckError

FIRST_BRANCH: Final = "main"
"""What the branch of a first commit is called where nothing names another one."""


class PlaceError(QuarterdeckError):
    """Something that a place answered, or didn't; ``cause`` is a word for tests and programs."""

    status = 502
    title = "The repository did not do it"
    cause: ClassVar[str] = "failed"

    def __init__(self, message: str, **extra: Any) -> None:  # Any: members of a problem document
        super().__init__(message, cause=self.cause, **extra)


class Refused(PlaceError):
    """``needs`` names the scope or permission that is missing, where that is known."""

    cause = "refused"


class Missing(PlaceError):
    status = 404
    title = "Not found in the repository"
    cause = "missing"


class Stale(PlaceError):
    status = 409
    title = "The file has changed meanwhile"
    cause = "stale"


class Unchanged(PlaceError):
    status = 409
    title = "Nothing to commit"
    cause = "unchanged"


class Exists(PlaceError):
    status = 409
    title = "It is there already"
    cause = "exists"


class PartlyCommitted(PlaceError):
    """Of several files, each in a commit of its own, some are committed and the others are not.

    The branch is left as it is. Commit the others again on ``tip``; what to do first is what ``reason`` says.
    """

    status = 409
    title = "Only some of the files are committed"
    cause = "partly-committed"

    def __init__(self, message: str, *, committed: Sequence[str], tip: str, reason: PlaceError) -> None:
        super().__init__(message, committed=list(committed), tip=tip, reason=reason.cause)
        self.committed = tuple(committed)
        """The paths that are done, in their order: those without a change among them too."""
        self.tip = tip
        self.reason = reason


class Throttled(PlaceError):
    """The API budget is used up; ``retry_after`` is in seconds."""

    status = 503
    title = "The repository's limit of calls is reached"
    cause = "throttled"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, retry_after=retry_after)
        self.retry_after = retry_after


class Unanswered(PlaceError):
    cause = "unanswered"


class Unsupported(PlaceError):
    status = 422
    title = "This place has no such thing"
    cause = "unsupported"


class EntryKind(StrEnum):
    """What a path is; only a FILE can be edited, and only when it is text."""

    FILE = "file"
    LINK = "link"
    SUBMODULE = "submodule"


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch or a tag; ``commit`` is the full hash of its tip (of the commit, for an annotated tag)."""

    name: str
    commit: str
    is_tag: bool = False
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a tree. ``size`` is in bytes, None where the listing does not tell."""

    path: str
    kind: EntryKind = EntryKind.FILE
    size: int | None = None


PathChanges = Mapping[str, Entry | None]
"""What became of each path that differs between two commits; None: it is not there any more."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What is known of one path at one commit before it is read."""

    path: str
    kind: EntryKind
    size: int
    is_executable: bool = False
    version: str = ""
    """Same text, same contents: a blob's hash or an ETag; empty when the place has none."""


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit as pages show it: ``message`` is whole, ``author`` a name without the address."""

    id: str
    author: str
    at: datetime
    message: str


class Action(StrEnum):
    """What a commit does with one path."""

    WRITE = "write"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One path of a commit. A rename is a DELETE and a WRITE. ``content`` is None for DELETE only."""

    path: str
    action: Action
    content: bytes | None = None
    is_executable: bool = False
    is_new: bool = False
    """The path must not exist at the base."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who a commit is by; ``email`` may be made up from the name where a person has none."""

    name: str
    email: str


class ProposalState(StrEnum):
    """Where a pull request stands."""

    OPEN = "open"
    MERGED = "merged"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A pull request; ``url`` is for people, empty where there is no page of it."""

    id: str
    url: str
    state: ProposalState
    title: str = ""
    is_conflicted: bool | None = None
    """None: the place could not say."""


@dataclass(frozen=True, slots=True)
class ProposalDraft:
    """A pull request to be opened, from ``source`` to ``target`` (branch names)."""

    title: str
    source: str
    target: str
    description: str = ""
    reviewers: tuple[str, ...] = ()
    """Cloud: account UUIDs in braces; Data Center: user names."""
    close_source: bool = True


@dataclass(frozen=True, slots=True)
class Budget:
    """Calls made in the last hour by our own count; ``limit`` is what the place allows, 0 when unknown."""

    used: int
    limit: int
    is_near_limit: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that "Test" has tried, in the order tried; after the first that is not ok nothing follows."""

    name: str
    """``address``, ``credential``, ``repository``, ``branch``, ``read`` or ``write``."""
    is_ok: bool
    detail: str


class Place(Protocol):
    """A repository. Each call may block for seconds: call in threads, never on the loop.

    ``commit`` arguments are full hashes. Paths are relative, with "/", as ``files.paths`` lets them through.
    Every call may raise Refused, Missing, Throttled and Unanswered besides what is named.
    """

    def check(self, *, for_writing: bool) -> list[Check]:
        """Try address, credential, repository, branch and rights; changes and raises nothing."""

    def default_branch(self) -> str:
        """Return the name of the branch that changes start from; Missing when the repository is empty."""

    def refs(self, text: str = "", *, limit: int = 100) -> list[Ref]:
        """Return branches, then tags, whose name holds the text (any case), the latest changed first."""

    def tip(self, branch: str) -> str:
        """Return the commit at the tip of a branch, asked anew each time; raises Missing."""

    def resolve(self, ref: str) -> str:
        """Return the commit of a branch, a tag or a full hash, in this order; raises Missing."""

    def list_files(self, commit: str) -> list[Entry]:
        """Return every path of a commit, sorted; raises PlaceError when the place gives no more."""

    def changes_between(
        self, before: str, after: str, *, wanted: Callable[[str], bool]
    ) -> PathChanges | None:
        """Return what became of the wanted paths that differ; None where listing is as cheap, or unclear."""

    def stat(self, commit: str, path: str) -> Stat:
        """Return what a path is; raises Missing also for a folder."""

    def read(self, commit: str, path: str, *, most_bytes: int) -> bytes:
        """Return the bytes as they are stored; raises core.errors.TooLarge beyond the limit, unread."""

    def last_change(self, commit: str, path: str) -> CommitInfo | None:
        """Return the latest commit, seen from this one, that changed the path; None when unknown."""

    def holds(self, commit: str, earlier: str) -> bool:
        """Tell whether a commit is another one, or comes after it; raises Missing for one that is gone."""

    def create_branch(self, name: str, commit: str) -> None:
        """Make a branch; raises Exists."""

    def delete_branch(self, name: str, *, tip: str = "") -> None:
        """Remove a branch, when it is still at this tip (where given; else Stale). Missing is no error."""

    def commit(
        self, branch: str, base: str, changes: Sequence[FileChange], message: str, author: Author
    ) -> str:
        """Commit on a branch and return the new tip.

        ``base`` is the commit that the contents were read at and must be the tip of the branch, or at least
        must hold the same files (Data Center: per file); else Stale. Raises Unchanged and Exists. Where a
        commit has one file only (Data Center) several are several commits in the order given: all are
        checked before the first, and a failure after it is PartlyCommitted.
        """

    def first_branch(self) -> str:
        """Return the branch that the first commit of an empty repository is to be on."""

    def first_commit(self, branch: str, path: str, content: bytes, message: str, author: Author) -> str:
        """Make the first commit of an empty repository, with one file, and return it.

        That it is empty is for the caller to look at; raises Exists when the branch or the file is there.
        """

    def merge(
        self, branch: str, target: str, *, tip: str, target_tip: str, author: Author, message: str
    ) -> str:
        """Bring a branch into another and return the new tip: forward, or by a merge commit.

        Raises Stale when one of them is not where it was seen any more, and, with ``paths``, when both have
        changed a file; Unchanged when there is nothing to merge; Unsupported where pull requests do it.
        """

    def open_proposal(self, draft: ProposalDraft) -> Proposal:
        """Open a pull request, or return the open one of the same pair; raises Unsupported, Unchanged."""

    def proposal(self, id_: str) -> Proposal:
        """Return where a pull request stands."""

    def link_to_file(self, ref: str, path: str) -> str:
        """Return the address of a file's page at the place; empty when there is none."""

    def link_to_branch(self, name: str) -> str:
        """Return the address of a branch's page; empty when there is none."""

    def budget(self) -> Budget | None:
        """Return how much of the place's limit of calls is used; None where there is none."""
