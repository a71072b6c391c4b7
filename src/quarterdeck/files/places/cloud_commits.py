"""A commit at Bitbucket Cloud: one form with files and fields, where the branch's tip is the lock."""

from collections.abc import Sequence
from typing import Final, Protocol

from quarterdeck.core.errors import TooLarge
from quarterdeck.files.places import cloud_answers as answers
from quarterdeck.files.places.answers import Answer, clean
from quarterdeck.files.places.cloud_scopes import Scopes
from quarterdeck.files.places.contents import Content
from quarterdeck.files.places.http import Call, Client
from quarterdeck.files.places.multipart import Part
from quarterdeck.files.places.place import (
    Action,
    Author,
    Exists,
    FileChange,
    Missing,
    PlaceError,
    Stale,
    Unanswered,
    Unchanged,
)

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of a file that a change is compared with."""
_MOST_TRIES: Final = 4
_MOVED: Final = 409


class Repository(Protocol):
    """What is asked of a place to commit there."""

    def tip(self, branch: str) -> str: ...

    def meta(self, commit: str, path: str) -> answers.Json: ...

    def content(self, commit: str, path: str, *, most_bytes: int) -> Content: ...


class Commits:
    """Commits on branches of one repository.

    Bitbucket refuses when the branch has moved at all. When what is to be changed is the same at the new
    tip, the commit is tried again on top of it: with that tip as its lock, so nothing slips in between.
    """

    def __init__(self, repository: Repository, client: Client, root: tuple[str, ...], scopes: Scopes) -> None:
        self._repository = repository
        self._client = client
        self._root = root
        self._scopes = scopes

    def commit(
        self, branch: str, base: str, changes: Sequence[FileChange], message: str, author: Author
    ) -> str:
        """Return the new tip; see ``Place.commit``."""
        wanted = [change for change in changes if self._is_change(base, change)]
        if not wanted:
            raise Unchanged("Nothing differs from what is in the repository.")
        parent = base
        for _ in range(_MOST_TRIES):
            try:
                answer = self._send(branch, parent, wanted, message, author)
            except Unanswered as error:
                made = self._made(branch, parent, message) if error.extra.get("is_unsure") else ""
                if made:
                    return made
                raise
            if answer.status != _MOVED:
                return self._new_tip(branch, answer)
            parent = self._moved(branch, base, parent, wanted, answer)
        raise Stale("Others commit on this branch all the time; try again in a moment.")

    def first(self, branch: str, change: FileChange, message: str, author: Author) -> str:
        """Return the root commit of an empty repository; its branch becomes the main one."""
        try:
            answer = self._send(branch, "", [change], message, author)
        except Unanswered as error:
            made = self._made(branch, "", message) if error.extra.get("is_unsure") else ""
            if made:
                return made
            raise
        if answer.status == _MOVED:
            raise Exists(f"There is a branch “{clean(branch, 100)}” by now.")
        return self._new_tip(branch, answer)

    def _is_change(self, base: str, change: FileChange) -> bool:
        """Tell whether a change would change something; raises Exists for a new file that is there."""
        if change.is_new:
            if self._is_there(base, change.path):
                raise Exists(f"There is “{clean(change.path)}” already; open it to change it.")
            return True
        if change.action is Action.DELETE:
            return self._is_there(base, change.path)
        found = self._content(base, change.path)
        if found is None or found.content != change.content:
            return True
        stat = answers.stat_of(self._repository.meta(base, change.path), change.path)
        return stat.is_executable != change.is_executable

    def _is_there(self, commit: str, path: str) -> bool:
        try:
            self._repository.meta(commit, path)
        except Missing:
            return False
        return True

    def _content(self, commit: str, path: str) -> Content | None:
        try:
            return self._repository.content(commit, path, most_bytes=MOST_BYTES)
        except Missing:
            return None

    def _send(
        self, branch: str, parent: str, changes: Sequence[FileChange], message: str, author: Author
    ) -> Answer:
        fields = [
            ("message", message),
            ("author", _signature(author)),
            ("branch", branch),
            *([("parents", parent)] if parent else []),
        ]
        deleted = [change.path for change in changes if change.action is Action.DELETE]
        fields += [("files", f"/{path}") for path in deleted]
        parts = [Part(name, value.encode()) for name, value in fields]
        parts += [_file_part(change) for change in changes if change.action is Action.WRITE]
        return self._client.call(
            Call(
                method="POST",
                segments=(*self._root, "src"),
                parts=parts,
                accepts=frozenset({201, _MOVED}),
                needs=self._scopes.write,
            )
        )

    def _new_tip(self, branch: str, answer: Answer) -> str:
        last = answer.headers.get("location", "").rstrip("/").rpartition("/")[2].partition("?")[0]
        return last if answers.FULL_HASH.match(last) else self._repository.tip(branch)

    def _moved(
        self, branch: str, base: str, parent: str, changes: Sequence[FileChange], answer: Answer
    ) -> str:
        """Return the branch's new tip when the files are as they were at the base; else raises Stale."""
        tip = self._repository.tip(branch)
        if tip == parent:
            raise self._client.error(answer, what="The branch")
        for change in changes:
            before, now = self._content(base, change.path), self._content(tip, change.path)
            if before is None and now is None and not self._is_there(tip, change.path):
                continue
            if before is None or now is None or not before.is_same(now):
                raise Stale(
                    f"“{clean(change.path)}” was changed on “{clean(branch, 100)}” meanwhile.", tip=tip
                )
        return tip

    def _made(self, branch: str, parent: str, message: str) -> str:
        """Return the branch's tip when it is the commit that was sent without an answer; else empty."""
        try:
            tip = self._repository.tip(branch)
            if tip == parent:
                return ""
            query = (("fields", "hash,message,parents.hash"),)
            call = Call(segments=(*self._root, "commit", tip), query=query, needs=self._scopes.read)
            found = self._client.call(call).json_object()
        except PlaceError:
            return ""
        parents = found.get("parents")
        hashes = [answers.text_of(each, "hash") for each in parents] if isinstance(parents, list) else []
        is_ours = (
            hashes == ([parent] if parent else [])
            and answers.text_of(found, "message").strip() == message.strip()
        )
        return tip if is_ours else ""


def _file_part(change: FileChange) -> Part:
    """Return a file; the slash before its path keeps a file called ``message`` from being the message."""
    if change.content is None:
        raise ValueError("a file without contents")
    if len(change.content) > MOST_BYTES:
        raise TooLarge(f"A file of more than {MOST_BYTES} bytes can't be committed from here.")
    name = change.path.rpartition("/")[2]
    return Part(
        f"/{change.path}",
        change.content,
        filename=name,
        attributes="executable" if change.is_executable else "",
    )


def _signature(author: Author) -> str:
    """Return an author as git has it; what would end the name or the address early is left out."""
    marks = str.maketrans("", "", "<>")
    name = clean(author.name, 200).translate(marks).strip()
    email = clean(author.email, 254).translate(marks).replace(" ", "")
    return f"{name} <{email}>"
