"""A repository of a Bitbucket Data Center (REST 1.0, also called ``latest``).

What it does otherwise than the Protocol's general words, since the API has no more to give:

- A commit holds one file. Several files are several commits, in the order given; see ``Commits``.
- No call removes a file: DELETE, and so also a rename, raises Unsupported before anything is changed.
- The author of a commit is always the token's own account; the person is named in the message.
- Nothing tells whether a file is executable. An edit keeps the mode that the server keeps; a new file is
  never executable, so that one that is to be is Unsupported.
- Symbolic links look like files; small ones are told apart by the archive call.
"""

import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import TooLarge
from quarterdeck.core.loop import Loop
from quarterdeck.files.models import PlaceRecord
from quarterdeck.files.paths import is_shown, read_ref
from quarterdeck.files.places.addresses import join
from quarterdeck.files.places.answers import clean
from quarterdeck.files.places.datacenter_calls import (
    BRANCH_UTILS,
    RepositoryCalls,
    commit_id,
    is_commit_id,
    member,
)
from quarterdeck.files.places.datacenter_check import checks
from quarterdeck.files.places.datacenter_commits import Commits
from quarterdeck.files.places.datacenter_proposals import Proposals
from quarterdeck.files.places.http import Client, Endpoint
from quarterdeck.files.places.place import (
    FIRST_BRANCH,
    Action,
    Author,
    Budget,
    Check,
    CommitInfo,
    Entry,
    EntryKind,
    Exists,
    FileChange,
    Missing,
    PathChanges,
    PlaceError,
    Proposal,
    ProposalDraft,
    Ref,
    Refused,
    Stale,
    Stat,
    Unanswered,
    Unsupported,
)

LISTING_PAGE: Final = 100_000
"""The server's own default cap: one call for nearly every repository."""
_LONGEST_LINK: Final = 4096
_REFS_PAGE: Final = 100
_MOST_PASSED_OVER: Final = 500
_LAST_MILLISECOND: Final = 253_402_300_800_000
"""The year 10,000."""


def server_address(url: str) -> str:
    """Return the server's address, with its context path, also when that of the API was given."""
    url = url.strip().rstrip("/")
    for end in ("/rest/api/latest", "/rest/api/1.0", "/rest/api", "/rest"):
        if url.endswith(end):
            return url.removesuffix(end)
    return url


def data_center_place(record: PlaceRecord, token: str, *, loop: Loop, clock: Clock) -> "DataCenterPlace":
    """Return the adapter of a registered place; raises ValueError for an address or a token that can't be.

    The address may be the server's, with its context path, or that of the API.
    """
    endpoint = Endpoint(server_address(record.url), record.username, token, record.authorities)
    return DataCenterPlace(
        Client(endpoint, loop, clock),
        project=record.project,
        repository=record.repository,
        default_branch=record.default_branch,
    )


class DataCenterPlace:
    """A repository; ``project`` is a project's key, or ``~name`` for a person's own repositories."""

    def __init__(self, client: Client, *, project: str, repository: str, default_branch: str = "") -> None:
        """The client's base is the server's address with its context path, without ``/rest``."""
        self._client = client
        self._default_branch = default_branch
        self._calls = RepositoryCalls(client, project, repository)
        self._commits = Commits(self, self._calls)
        self._proposals = Proposals(
            self._calls, lambda number: self._page("pull-requests", number, "overview")
        )

    def __repr__(self) -> str:
        return f"DataCenterPlace({self._client.base!r}, {self._calls.name!r})"

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def check(self, *, for_writing: bool) -> list[Check]:
        return checks(self._calls, default_branch=self.default_branch, tip=self.tip, for_writing=for_writing)

    def default_branch(self) -> str:
        if self._default_branch:
            return self._default_branch
        answer = self._calls.ask("default-branch", what="A default branch")
        name = None if answer.status == 204 else answer.json_object().get("displayId")
        if isinstance(name, str) and name:
            return name
        raise Missing(
            f"The repository {self._calls.name} is empty: it has no branch yet. Push a first commit."
        )

    def refs(self, text: str = "", *, limit: int = 100) -> list[Ref]:
        both = chain(self._refs("branches", text, limit), self._refs("tags", text, limit))
        return list(islice(both, limit))

    def tip(self, branch: str) -> str:
        return self._latest(f"refs/heads/{branch}", f"The branch “{clean(branch, 100)}”")

    def resolve(self, ref: str) -> str:
        """A full hash is one first, as for git: a branch that is called like it can't stand in for it."""
        if is_commit_id(ref):
            answer = self._calls.ask("commits", ref, what=f"The commit {ref[:12]}")
            return commit_id(answer.json_object().get("id"))
        what = f"A branch or a tag “{clean(ref, 100)}”"
        try:
            return self._latest(f"refs/heads/{ref}", what)
        except Missing:
            return self._latest(f"refs/tags/{ref}", what)

    def list_files(self, commit: str) -> list[Entry]:
        paths = self._calls.values("files", query=[("at", commit)], page=LISTING_PAGE, what="The commit")
        return [
            Entry(path)
            for path in sorted({each for each in paths if isinstance(each, str)})
            if is_shown(path)
        ]

    def changes_between(
        self, before: str, after: str, *, wanted: Callable[[str], bool]
    ) -> PathChanges | None:
        return None  # a listing is one call for nearly every repository

    def stat(self, commit: str, path: str) -> Stat:
        kind = self._browse(commit, path, "type")
        if kind == "SUBMODULE":
            return Stat(path, EntryKind.SUBMODULE, 0)
        if kind != "FILE":
            raise Missing(f"“{clean(path, 200)}” is a folder, not a file.")
        size = self._browse(commit, path, "size")
        if not isinstance(size, int) or size < 0:
            raise Unanswered("Bitbucket told a file's size in a form that is not known here.")
        is_link = 0 < size <= _LONGEST_LINK and self._is_link(commit, path)
        return Stat(path, EntryKind.LINK if is_link else EntryKind.FILE, size)

    def read(self, commit: str, path: str, *, most_bytes: int) -> bytes:
        answer = self._calls.ask(
            "raw", *path.split("/"), query=[("at", commit)], what=_file(path), most_bytes=most_bytes
        )
        # A sign-in page of a proxy is no file's contents; Bitbucket itself names the account in a header.
        if answer.media_type == "text/html" and "x-ausername" not in answer.headers:
            raise Unanswered("A page in HTML came instead of the file; a sign-in page may stand between.")
        return answer.body

    def last_change(self, commit: str, path: str) -> CommitInfo | None:
        values = self._newest([("until", commit), ("path", path)], _file(path))
        return _commit_info(values[0]) if values else None

    def holds(self, commit: str, earlier: str) -> bool:
        query = [("until", earlier), ("since", commit), ("limit", "1")]
        body = self._calls.ask("commits", query=query, what="One of the two commits").json_object()
        values = body.get("values")
        if not isinstance(values, list):
            raise Unanswered("Bitbucket answered with a list in a form that is not known here.")
        return not values

    def create_branch(self, name: str, commit: str) -> None:
        try:
            answer = self._calls.send("POST", "branches", json={"name": name, "startPoint": commit})
        except Unanswered as error:
            if error.extra.get("is_unsure") and self._tip_or_none(name) == commit:
                return
            raise
        problem = self._calls.problem(answer)
        if answer.status == 409 or problem.name == "DuplicateRefException":
            raise Exists(f"There is a branch “{clean(name, 100)}” already, or one below or above that name.")
        self._calls.good(answer, what=f"The commit {commit[:12]}")

    def delete_branch(self, name: str, *, tip: str = "") -> None:
        at = {"endPoint": tip} if tip else {}
        body = {"name": f"refs/heads/{name}", "dryRun": False, **at}
        try:
            answer = self._calls.send("DELETE", "branches", json=body, api=BRANCH_UTILS)
        except Unanswered as error:
            if error.extra.get("is_unsure") and self._is_gone(name):
                return
            raise
        if answer.status in (401, 403) or answer.status < 400:
            self._calls.good(answer)
            return
        try:
            found = self.tip(name)
        except Missing:
            return
        if tip and found != tip:
            raise Stale(f"The branch “{clean(name, 100)}” has moved meanwhile and was left as it is.")
        raise self._calls.error(answer, what="The branch")

    def commit(
        self, branch: str, base: str, changes: Sequence[FileChange], message: str, author: Author
    ) -> str:
        return self._commits.commit(branch, base, changes, message, author)

    def first_branch(self) -> str:
        return self._default_branch or FIRST_BRANCH

    def first_commit(self, branch: str, path: str, content: bytes, message: str, author: Author) -> str:
        change = FileChange(path, Action.WRITE, content, is_new=True)
        return self._commits.commit(branch, "", [change], message, author)

    def merge(
        self, branch: str, target: str, *, tip: str, target_tip: str, author: Author, message: str
    ) -> str:
        raise Unsupported("At Bitbucket a pull request brings one branch into another: open one.")

    def open_proposal(self, draft: ProposalDraft) -> Proposal:
        return self._proposals.open(draft)

    def proposal(self, id_: str) -> Proposal:
        return self._proposals.get(id_)

    def link_to_file(self, ref: str, path: str) -> str:
        return self._page("browse", *path.split("/"), query=[("at", ref)])

    def link_to_branch(self, name: str) -> str:
        return self._page("browse", query=[("at", f"refs/heads/{name}")])

    def budget(self) -> Budget | None:
        """There is none: limits are a matter of seconds, and off by default."""
        return None

    def _refs(self, kind: str, text: str, limit: int) -> Iterator[Ref]:
        """Yield what has the text in its name and a name that is none of the hostile ones."""
        query = [("orderBy", "MODIFICATION"), *([("filterText", text)] if text else [])]
        values = self._calls.values(kind, query=query, page=min(limit, _REFS_PAGE))
        for value in islice(values, limit + _MOST_PASSED_OVER):
            name = member(value, "displayId")
            if isinstance(name, str) and _is_good(name) and text.lower() in name.lower():
                yield Ref(name, commit_id(member(value, "latestCommit")), is_tag=kind == "tags")

    def _tip_or_none(self, branch: str) -> str | None:
        try:
            return self.tip(branch)
        except PlaceError:
            return None

    def _is_gone(self, branch: str) -> bool:
        try:
            self.tip(branch)
        except PlaceError as error:
            return isinstance(error, Missing)
        return False

    def _latest(self, ref: str, what: str) -> str:
        values = self._newest([("until", ref)], what)
        if not values:
            raise Missing(f"{what} is not there.")
        return commit_id(member(values[0], "id"))

    def _newest(self, query: list[tuple[str, str]], what: str) -> list[Any]:  # Any: JSON
        body = self._calls.ask("commits", query=[*query, ("limit", "1")], what=what).json_object()
        values = body.get("values")
        return values if isinstance(values, list) else []

    def _browse(self, commit: str, path: str, what: str) -> object:
        query = [("at", commit), (what, "true")]  # without "=true" it means false
        answer = self._calls.ask("browse", *path.split("/"), query=query, what=_file(path))
        return answer.json_object().get(what)

    def _is_link(self, commit: str, path: str) -> bool:
        """Say whether an archive of the path holds a link; what is kept out of archives counts as none."""
        query = [("at", commit), ("path", path), ("format", "tar")]
        try:
            answer = self._calls.ask("archive", query=query, most_bytes=1024 * 1024)
            with tarfile.open(fileobj=io.BytesIO(answer.body), mode="r:") as archive:
                return any(each.issym() and each.name == path for each in archive)
        except (Missing, Refused, TooLarge, tarfile.TarError):
            return False

    def _page(self, *segments: str, query: Sequence[tuple[str, str]] = ()) -> str:
        project, repository = self._calls.project, self._calls.repository
        owner = ("users", project[1:]) if project.startswith("~") else ("projects", project)
        try:
            return join(self._client.base, (*owner, "repos", repository, *segments), query)
        except ValueError:
            return ""


def _is_good(name: str) -> bool:
    try:
        read_ref(name)
    except ValueError:
        return False
    return True


def _file(path: str) -> str:
    return f"“{clean(path, 200)}”"


def _commit_info(value: object) -> CommitInfo:
    at = member(value, "authorTimestamp")
    author = member(value, "author", "displayName") or member(value, "author", "name")
    message = member(value, "message")
    return CommitInfo(
        commit_id(member(value, "id")),
        clean(author, 200),
        datetime.fromtimestamp(_milliseconds(at) / 1000, UTC),
        message if isinstance(message, str) else "",
    )


def _milliseconds(value: object) -> int:
    """Return a time as Bitbucket tells it; the beginning of time for one that is no time."""
    return value if isinstance(value, int) and 0 <= value < _LAST_MILLISECOND else 0
