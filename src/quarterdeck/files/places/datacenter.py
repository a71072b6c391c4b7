"""A repository of a Bitbucket Data Center (REST 1.0, also called ``latest``).

What it does otherwise than the Protocol's general words, since the API has no more to give:

- A commit holds one file. Several files are several commits, in the order given; see ``commit``.
- No call removes a file: DELETE, and so also a rename, raises Unsupported before anything is changed.
- The author of a commit is always the token's own account; the person is named in the message.
- Nothing tells whether a file is executable. An edit keeps the mode that the server keeps; a new file is
  never executable, so that one that is to be is Unsupported.
- Symbolic links look like files; small ones are told apart by the archive call.
"""

import io
import tarfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import TooLarge
from quarterdeck.core.loop import Loop
from quarterdeck.files.paths import is_shown
from quarterdeck.files.places.addresses import join
from quarterdeck.files.places.answers import Answer, Problem, clean
from quarterdeck.files.places.datacenter_calls import (
    BRANCH_UTILS,
    RepositoryCalls,
    commit_id,
    is_commit_id,
    member,
    said,
)
from quarterdeck.files.places.datacenter_check import checks
from quarterdeck.files.places.faults import Timing
from quarterdeck.files.places.http import Client, Endpoint
from quarterdeck.files.places.multipart import Part
from quarterdeck.files.places.place import (
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
    PartlyCommitted,
    PlaceError,
    Proposal,
    ProposalDraft,
    ProposalState,
    Ref,
    Refused,
    Stale,
    Stat,
    Unanswered,
    Unchanged,
    Unsupported,
)

LISTING_PAGE: Final = 100_000
"""The server's own default cap: one call for nearly every repository."""
_LONGEST_LINK: Final = 4096
_LONGEST_TITLE: Final = 255
_MOST_COMPARED: Final = 16 * 1024 * 1024
_REFS_PAGE: Final = 100
_LAST_MILLISECOND: Final = 253_402_300_800_000
"""The year 10,000."""
_NO_PATH: Final = frozenset({"NoSuchPathException", "NoSuchObjectException"})
_NO_BRACKETS: Final = str.maketrans("<>", "()")
_COMMIT_NEEDS: Final = (
    "the right to commit here: a person's own token, of an account with an e-mail address and write "
    "permission (a project's or repository's token can't commit), and a branch that may be changed directly"
)
_STATES: Final = {
    "OPEN": ProposalState.OPEN,
    "MERGED": ProposalState.MERGED,
    "DECLINED": ProposalState.DECLINED,
}


def server_address(url: str) -> str:
    """Return the server's address, with its context path, also when that of the API was given."""
    url = url.strip().rstrip("/")
    for end in ("/rest/api/latest", "/rest/api/1.0", "/rest/api", "/rest"):
        if url.endswith(end):
            return url.removesuffix(end)
    return url


def open_data_center(
    endpoint: Endpoint,
    project: str,
    repository: str,
    *,
    loop: Loop,
    clock: Clock,
    timing: Timing | None = None,
) -> "DataCenterPlace":
    """Return a place for an endpoint with the server's or the API's address; raises ValueError."""
    there = Endpoint(
        server_address(endpoint.base_url), endpoint.username, endpoint.token, endpoint.authorities
    )
    return DataCenterPlace(Client(there, loop, clock, timing=timing or Timing()), project, repository)


class DataCenterPlace:
    """A repository; ``project`` is a project's key, or ``~name`` for a person's own repositories."""

    def __init__(self, client: Client, project: str, repository: str) -> None:
        """The client's base is the server's address with its context path, without ``/rest``."""
        self._client = client
        self._calls = RepositoryCalls(client, project, repository)

    def __repr__(self) -> str:
        return f"DataCenterPlace({self._client.base!r}, {self._calls.name!r})"

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def check(self, *, for_writing: bool) -> list[Check]:
        return checks(self._calls, default_branch=self.default_branch, tip=self.tip, for_writing=for_writing)

    def default_branch(self) -> str:
        answer = self._calls.ask("default-branch", what="A default branch")
        name = None if answer.status == 204 else answer.json_object().get("displayId")
        if isinstance(name, str) and name:
            return name
        raise Missing(
            f"The repository {self._calls.name} is empty: it has no branch yet. Push a first commit."
        )

    def refs(self, text: str = "", *, limit: int = 100) -> list[Ref]:
        found: list[Ref] = []
        for kind in ("branches", "tags"):
            for ref in self._refs(kind, text):
                if len(found) >= limit:
                    return found
                found.append(ref)
        return found

    def tip(self, branch: str) -> str:
        return self._latest(f"refs/heads/{branch}", f"The branch “{clean(branch, 100)}”")

    def resolve(self, ref: str) -> str:
        what = f"“{clean(ref, 100)}”"
        for full in (f"refs/heads/{ref}", f"refs/tags/{ref}"):
            try:
                return self._latest(full, what)
            except Missing as error:
                missing = error
        if not is_commit_id(ref):
            raise missing
        answer = self._calls.ask("commits", ref, what=f"The commit {ref[:12]}")
        return commit_id(answer.json_object().get("id"))

    def list_files(self, commit: str) -> list[Entry]:
        paths = self._calls.values("files", query=[("at", commit)], page=LISTING_PAGE, what="The commit")
        return [
            Entry(path)
            for path in sorted({each for each in paths if isinstance(each, str)})
            if is_shown(path)
        ]

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
        values = self._commits([("until", commit), ("path", path)], _file(path))
        return _commit_info(values[0]) if values else None

    def create_branch(self, name: str, commit: str) -> None:
        answer = self._calls.send("POST", "branches", json={"name": name, "startPoint": commit})
        problem = self._calls.problem(answer)
        if answer.status == 409 or problem.name == "DuplicateRefException":
            raise Exists(f"There is a branch “{clean(name, 100)}” already, or one below or above that name.")
        self._calls.good(answer, what=f"The commit {commit[:12]}")

    def delete_branch(self, name: str, *, tip: str = "") -> None:
        at = {"endPoint": tip} if tip else {}
        body = {"name": f"refs/heads/{name}", "dryRun": False, **at}
        answer = self._calls.send("DELETE", "branches", json=body, api=BRANCH_UTILS)
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
        """Commit each file on its own, in the order given, and return the new tip.

        One file costs one call, and the server itself compares it with the base. Several are compared here
        before the first is committed: files without a change are left out, and nothing is committed when one
        of them is Stale or Exists. What fails after that is PartlyCommitted. The mode of a file that is there
        is kept by the server.
        """
        _check_possible(changes)
        text = _signed(message, author)
        if len(changes) == 1:
            return self._put(branch, base, changes[0], text)
        todo = self._differing(branch, base, changes)
        tip, committed = base, [each.path for each in changes if each not in todo]
        for number, change in enumerate(todo):
            try:
                tip = self._put(branch, base, change, text)
            except PlaceError as error:
                if not number:
                    raise
                raise _partly(change, committed, tip, error) from error
            committed.append(change.path)
        return tip

    def open_proposal(self, draft: ProposalDraft) -> Proposal:
        """Open a pull request; whether its branch is removed afterwards is decided by who merges it."""
        answer = self._calls.send("POST", "pull-requests", json=self._proposal_body(draft))
        if answer.status == 409:
            return self._open_already(draft, answer)
        return self._proposal(self._calls.good(answer, what="One of the branches").json_object())

    def proposal(self, id_: str) -> Proposal:
        what = f"The pull request {clean(id_, 20)}"
        if not (id_.isascii() and id_.isdigit()):
            raise Missing(f"{what} is not there.")
        body = self._calls.ask("pull-requests", id_, what=what).json_object()
        is_open = body.get("state") == "OPEN"
        return self._proposal(body, self._is_conflicted(id_) if is_open else None)

    def link_to_file(self, ref: str, path: str) -> str:
        return self._page("browse", *path.split("/"), query=[("at", ref)])

    def link_to_branch(self, name: str) -> str:
        return self._page("browse", query=[("at", f"refs/heads/{name}")])

    def budget(self) -> Budget | None:
        """There is none: limits are a matter of seconds, and off by default."""
        return None

    def _refs(self, kind: str, text: str) -> Iterator[Ref]:
        query = [("orderBy", "MODIFICATION"), *([("filterText", text)] if text else [])]
        for value in self._calls.values(kind, query=query, page=_REFS_PAGE):
            name = member(value, "displayId")
            if isinstance(name, str) and name and text.lower() in name.lower():
                yield Ref(name, commit_id(member(value, "latestCommit")), is_tag=kind == "tags")

    def _latest(self, ref: str, what: str) -> str:
        values = self._commits([("until", ref)], what)
        if not values:
            raise Missing(f"{what} is not there.")
        return commit_id(member(values[0], "id"))

    def _commits(self, query: list[tuple[str, str]], what: str) -> list[Any]:  # Any: JSON
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

    def _differing(self, branch: str, base: str, changes: Sequence[FileChange]) -> list[FileChange]:
        """Return the changes that change something; raises Stale, Exists, and Unchanged for none."""
        tip = self.tip(branch)
        todo = []
        for change in changes:
            there = self._content(tip, change.path)
            if change.is_new and there is not None:
                raise Exists(f"There is a file “{clean(change.path, 200)}” already. Nothing was committed.")
            if not change.is_new and tip != base and self._content(base, change.path) != there:
                raise _stale(change.path, "Nothing was committed.")
            if there != change.content:
                todo.append(change)
        if not todo:
            raise _unchanged()
        return todo

    def _content(self, commit: str, path: str) -> bytes | None:
        try:
            return self.read(commit, path, most_bytes=_MOST_COMPARED)
        except Missing:
            return None

    def _put(self, branch: str, base: str, change: FileChange, message: str) -> str:
        """Write one file and return the new tip; when the answer got lost, look whether it was done."""
        try:
            return self._written(branch, base, change, message)
        except Unanswered as error:
            tip = self._found(branch, change, message) if error.extra.get("is_unsure") else ""
            if not tip:
                raise
            return tip

    def _found(self, branch: str, change: FileChange, message: str) -> str:
        """Return the tip when it holds what was sent, committed in our words; empty when unknown."""
        try:
            tip = self.tip(branch)
            latest = self.last_change(tip, change.path)
            is_there = latest is not None and latest.message.strip() == message.strip()
            return tip if is_there and self._content(tip, change.path) == change.content else ""
        except PlaceError:
            return ""

    def _written(self, branch: str, base: str, change: FileChange, message: str) -> str:
        answer = self._edit(branch, "" if change.is_new else base, change, message)
        if answer.status == 404 and not change.is_new and self._calls.problem(answer).name in _NO_PATH:
            if self._content(base, change.path) is not None:
                raise _stale(change.path)
            answer = self._edit(branch, "", change, message)
        if answer.status in (400, 409):
            raise self._edit_error(answer, change.path)
        what = f"The branch “{clean(branch, 100)}”"
        body = self._calls.good(answer, what=what, needs=_COMMIT_NEEDS).json_object()
        return commit_id(body.get("id"))

    def _edit(self, branch: str, source: str, change: FileChange, message: str) -> Answer:
        parts = [
            Part("content", change.content or b"", "content"),  # as a file: bytes stay bytes
            Part("message", message.encode()),
            Part("branch", branch.encode()),
        ]
        if source:
            parts.append(Part("sourceCommitId", source.encode()))
        return self._calls.send("PUT", "browse", *change.path.split("/"), parts=parts)

    def _edit_error(self, answer: Answer, path: str) -> PlaceError:
        problem = self._calls.problem(answer)
        if problem.name == "FileAlreadyExistsException":
            return Exists(f"There is a file “{clean(path, 200)}” already.")
        if problem.name == "FileContentUnmodifiedException":
            return _unchanged()
        if problem.name == "FileOutOfDateException":
            return _stale(path)
        if problem.name == "RepositoryHookVetoedException":
            return Refused(f"A rule of the repository rejects the commit.{self._details(answer, problem)}")
        if answer.status == 409:
            return Refused(f"Bitbucket does not take the commit.{said(problem)}")
        return self._calls.error(answer)

    def _details(self, answer: Answer, problem: Problem) -> str:
        """Return what a hook had to say: its details where there are any, else the message."""
        errors = self._client.without_secrets(answer).json_object().get("errors")
        details = member(errors[0], "details") if isinstance(errors, list) and errors else None
        texts = details if isinstance(details, list) else [details]
        words = clean(" ".join(each for each in texts if isinstance(each, str)))
        return said(Problem(words)) if words else said(problem)

    def _proposal_body(self, draft: ProposalDraft) -> dict[str, Any]:
        repository = {"slug": self._calls.repository, "project": {"key": self._calls.project}}
        body: dict[str, Any] = {
            "title": clean(draft.title, _LONGEST_TITLE),
            "description": draft.description,
            "fromRef": {"id": f"refs/heads/{draft.source}", "repository": repository},
            "toRef": {"id": f"refs/heads/{draft.target}", "repository": repository},
        }
        if draft.reviewers:
            body["reviewers"] = [{"user": {"name": name}} for name in draft.reviewers]
        return body

    def _open_already(self, draft: ProposalDraft, answer: Answer) -> Proposal:
        """Return the pull request that is open already; raises what any other conflict is."""
        problem = self._calls.problem(answer)
        if problem.name == "EmptyPullRequestException":
            raise Unchanged(f"“{clean(draft.target, 100)}” holds all that this branch would bring already.")
        if problem.name == "InvalidPullRequestReviewersException":
            names = clean(", ".join(draft.reviewers))
            raise Missing(
                f"Bitbucket does not take all of these as reviewers: {names}. Give their user names there; "
                "nothing was opened."
            )
        if problem.name != "DuplicatePullRequestException":
            raise Refused(f"Bitbucket does not open the pull request.{said(problem)}")
        query = [("direction", "OUTGOING"), ("at", f"refs/heads/{draft.source}"), ("state", "OPEN")]
        for value in self._calls.values("pull-requests", query=query, page=_REFS_PAGE):
            if member(value, "toRef", "id") == f"refs/heads/{draft.target}":
                return self._proposal(value)
        raise Exists(f"A pull request of this branch is open already.{said(problem)}")

    def _is_conflicted(self, id_: str) -> bool | None:
        try:
            body = self._calls.ask("pull-requests", id_, "merge").json_object()
        except PlaceError:  # computing a merge may fail or take too long; the rest is known all the same
            return None
        is_known = body.get("outcome") in ("CLEAN", "CONFLICTED")
        return bool(body.get("conflicted")) if is_known else None

    def _proposal(self, body: dict[str, Any], is_conflicted: bool | None = None) -> Proposal:
        number = body.get("id")
        if not isinstance(number, int) or body.get("state") not in _STATES:
            raise Unanswered("Bitbucket described a pull request in a form that is not known here.")
        url = self._page("pull-requests", str(number), "overview")
        return Proposal(
            str(number), url, _STATES[body["state"]], clean(body.get("title"), _LONGEST_TITLE), is_conflicted
        )

    def _page(self, *segments: str, query: Sequence[tuple[str, str]] = ()) -> str:
        project, repository = self._calls.project, self._calls.repository
        owner = ("users", project[1:]) if project.startswith("~") else ("projects", project)
        try:
            return join(self._client.base, (*owner, "repos", repository, *segments), query)
        except ValueError:
            return ""


def _check_possible(changes: Sequence[FileChange]) -> None:
    """Raise Unsupported for what the API has no call for, before anything is changed."""
    if not changes:
        raise _unchanged()
    if any(change.action is Action.DELETE for change in changes):
        raise Unsupported(
            "Bitbucket Data Center's API can't remove a file, so neither delete nor rename one. Nothing was "
            "changed. Do it with git on this branch, and the rest here."
        )
    if any(change.is_new and change.is_executable for change in changes):
        raise Unsupported(
            "Bitbucket Data Center's API can't make a file executable. Nothing was changed. Add the file "
            "without it, and set the mode with git (git update-index --chmod=+x)."
        )


def _signed(message: str, author: Author) -> str:
    """Return the message with the person as a trailer: the commit's own author is the token's account."""
    name, email = (clean(each, 200).translate(_NO_BRACKETS) for each in (author.name, author.email))
    return f"{message.rstrip()}\n\nChanged-by: {name} <{email}>"


def _partly(change: FileChange, committed: Sequence[str], tip: str, reason: PlaceError) -> PartlyCommitted:
    done = ", ".join(clean(path, 100) for path in committed)
    return PartlyCommitted(
        f"Committed: {done}. Not committed: {clean(change.path, 100)} and what was to follow. "
        f"{reason.message}",
        committed=committed,
        tip=tip,
        reason=reason,
    )


def _stale(path: str, more: str = "") -> Stale:
    return Stale(
        f"“{clean(path, 200)}” was changed on the branch since it was read. {more} Compare both, then commit "
        "again.".replace("  ", " ")
    )


def _unchanged() -> Unchanged:
    return Unchanged("The branch holds the same contents already; there is nothing to commit.")


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
