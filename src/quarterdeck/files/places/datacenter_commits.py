"""Commits at a Bitbucket Data Center: one file a call, compared with what it was when it was read."""

from collections.abc import Sequence
from typing import Final, Protocol

from quarterdeck.files.places.answers import Answer, Problem, clean
from quarterdeck.files.places.datacenter_calls import RepositoryCalls, commit_id, member, said
from quarterdeck.files.places.multipart import Part
from quarterdeck.files.places.place import (
    Action,
    Author,
    CommitInfo,
    Exists,
    FileChange,
    Missing,
    PartlyCommitted,
    PlaceError,
    Refused,
    Stale,
    Unanswered,
    Unchanged,
    Unsupported,
)

_MOST_COMPARED: Final = 16 * 1024 * 1024
_NO_PATH: Final = frozenset({"NoSuchPathException", "NoSuchObjectException"})
_NO_BRACKETS: Final = str.maketrans("<>", "()")
_NEEDS: Final = (
    "the right to commit here: a person's own token, of an account with an e-mail address and write "
    "permission (a project's or repository's token can't commit), and a branch that may be changed directly"
)


class Repository(Protocol):
    """What is asked of a place to commit there."""

    def tip(self, branch: str) -> str: ...

    def read(self, commit: str, path: str, *, most_bytes: int) -> bytes: ...

    def last_change(self, commit: str, path: str) -> CommitInfo | None: ...


class Commits:
    """Commits on branches of one repository.

    One file costs one call, and nothing slips in between: the server itself compares. Several files are
    compared here before the first is committed, so that what can be known to fail fails before anything is
    changed; a failure after the first commit is PartlyCommitted.
    """

    def __init__(self, repository: Repository, calls: RepositoryCalls) -> None:
        self._repository = repository
        self._calls = calls

    def commit(
        self, branch: str, base: str, changes: Sequence[FileChange], message: str, author: Author
    ) -> str:
        """Return the new tip; see ``Place.commit``. Files without a change are left out."""
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

    def _differing(self, branch: str, base: str, changes: Sequence[FileChange]) -> list[FileChange]:
        """Return the changes that change something; raises Stale, Exists, Missing, and Unchanged for none."""
        tip = self._repository.tip(branch)
        todo, stale = [], []
        for change in changes:
            there = self._content(tip, change.path)
            if change.is_new and there is not None:
                raise _exists(change.path)
            if not change.is_new and tip != base and self._content(base, change.path) != there:
                stale.append(change.path)
            elif there is None and not change.is_new:
                raise _missing(change.path)
            elif there != change.content:
                todo.append(change)
        if stale:
            raise _stale(stale)
        if not todo:
            raise _unchanged()
        return todo

    def _content(self, commit: str, path: str) -> bytes | None:
        try:
            return self._repository.read(commit, path, most_bytes=_MOST_COMPARED)
        except Missing:
            return None

    def _put(self, branch: str, base: str, change: FileChange, message: str) -> str:
        """Write one file and return the new tip; when the answer got lost, look whether it was done."""
        try:
            answer = self._edit(branch, "" if change.is_new else base, change, message)
        except Unanswered as error:
            tip = self._found(branch, change, message) if error.extra.get("is_unsure") else ""
            if not tip:
                raise
            return tip
        if answer.status >= 400:
            raise self._error(answer, branch, base, change)
        return commit_id(answer.json_object().get("id"))

    def _found(self, branch: str, change: FileChange, message: str) -> str:
        """Return the tip when it holds what was sent, committed in our words; empty when unknown."""
        try:
            tip = self._repository.tip(branch)
            latest = self._repository.last_change(tip, change.path)
            is_ours = latest is not None and latest.message.strip() == message.strip()
            return tip if is_ours and self._content(tip, change.path) == change.content else ""
        except PlaceError:
            return ""

    def _edit(self, branch: str, source: str, change: FileChange, message: str) -> Answer:
        parts = [
            Part("content", change.content or b"", "content"),  # as a file: bytes stay bytes
            Part("message", message.encode()),
            Part("branch", branch.encode()),
        ]
        if source:
            parts.append(Part("sourceCommitId", source.encode()))
        return self._calls.send("PUT", "browse", *change.path.split("/"), parts=parts)

    def _error(self, answer: Answer, branch: str, base: str, change: FileChange) -> PlaceError:
        problem = self._calls.problem(answer)
        if problem.name == "FileAlreadyExistsException":
            return _exists(change.path)
        if problem.name == "FileContentUnmodifiedException":
            return _unchanged()
        if problem.name == "FileOutOfDateException":
            return _stale([change.path])
        if answer.status == 404 and problem.name in _NO_PATH:
            was_there = self._content(base, change.path) is not None
            return _stale([change.path]) if was_there else _missing(change.path)
        if answer.status == 409:
            return Refused(f"Bitbucket does not take the commit.{self._details(answer, problem)}")
        return self._calls.error(answer, what=f"The branch “{clean(branch, 100)}”", needs=_NEEDS)

    def _details(self, answer: Answer, problem: Problem) -> str:
        """Return what the server has to say: the details of a hook that rejects it, else the message."""
        body = self._calls.client.without_secrets(answer).json_object()
        errors = body.get("errors")
        details = member(errors[0], "details") if isinstance(errors, list) and errors else None
        texts = details if isinstance(details, list) else [details]
        words = clean(" ".join(each for each in texts if isinstance(each, str)))
        return said(Problem(words)) if words else said(problem)


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
    text = message.replace("\r\n", "\n").rstrip()
    return f"{text}\n\nChanged-by: {name} <{email}>"


def _partly(change: FileChange, committed: Sequence[str], tip: str, reason: PlaceError) -> PartlyCommitted:
    done = ", ".join(clean(path, 100) for path in committed)
    return PartlyCommitted(
        f"Committed: {done}. Not committed: {clean(change.path, 100)} and what was to follow. "
        f"{reason.message}",
        committed=committed,
        tip=tip,
        reason=reason,
    )


def _stale(paths: Sequence[str]) -> Stale:
    names = ", ".join(f"“{clean(path, 200)}”" for path in paths)
    return Stale(
        f"{names}: changed on the branch since it was read. Compare both, then commit again.",
        paths=list(paths),
    )


def _exists(path: str) -> Exists:
    return Exists(f"There is a file “{clean(path, 200)}” already; open it to change it.")


def _missing(path: str) -> Missing:
    return Missing(f"There is no file “{clean(path, 200)}” on the branch.")


def _unchanged() -> Unchanged:
    return Unchanged("The branch holds the same contents already; there is nothing to commit.")
