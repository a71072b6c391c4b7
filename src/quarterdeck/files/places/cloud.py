"""A repository at Bitbucket Cloud (REST 2.0). An edit from "Update" to pull request costs five calls:

the new branch, the target's tip, the commit, a look for an open pull request of the same pair, and the pull
request. What the file is compared with was read for the view and is kept, as is the main branch's name.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, urlsplit

from quarterdeck.core.clock import Clock
from quarterdeck.core.loop import Loop
from quarterdeck.files.models import PlaceRecord
from quarterdeck.files.places import cloud_answers as answers
from quarterdeck.files.places.allowance import Allowance
from quarterdeck.files.places.answers import Answer, clean
from quarterdeck.files.places.cloud_checks import checks_of
from quarterdeck.files.places.cloud_commits import Commits
from quarterdeck.files.places.cloud_proposals import Proposals
from quarterdeck.files.places.cloud_query import only, quoted
from quarterdeck.files.places.cloud_scopes import Scopes
from quarterdeck.files.places.cloud_trees import CloudTrees
from quarterdeck.files.places.contents import Content, Contents
from quarterdeck.files.places.http import Call, Client, Endpoint
from quarterdeck.files.places.place import (
    FIRST_BRANCH,
    Action,
    Author,
    Budget,
    Check,
    CommitInfo,
    Entry,
    Exists,
    FileChange,
    Missing,
    PathChanges,
    PlaceError,
    Proposal,
    ProposalDraft,
    Ref,
    Stale,
    Stat,
    Unanswered,
    Unsupported,
)

API_URL: Final = "https://api.bitbucket.org/2.0"
HOURLY_LIMIT: Final = 1000
"""What Bitbucket allows a person's token; an access token's answers tell when it is more."""
_PAGE: Final = 100
_DEFAULT_BRANCH_SECONDS: Final = 300.0
_METAS_KEPT: Final = 1_000
_BRANCH_EXISTS: Final = "BRANCH_ALREADY_EXISTS"
_REFUSED_INPUT: Final = frozenset({400, 409})


def cloud_place(
    record: PlaceRecord, token: str, *, loop: Loop, clock: Clock, allowance: Allowance | None = None
) -> "CloudPlace":
    """Return the adapter of a registered place; raises ValueError for an address or a token that can't be.

    Places of one credential may share an ``allowance``: Bitbucket counts by credential.
    """
    endpoint = Endpoint(record.url or API_URL, record.username, token, record.authorities)
    client = Client(endpoint, loop, clock, allowance=allowance or Allowance(clock, HOURLY_LIMIT))
    return CloudPlace(
        client,
        clock,
        workspace=record.project,
        repository=record.repository,
        default_branch=record.default_branch,
        scopes=Scopes.of(record.username),
    )


class CloudPlace:
    """One repository; see ``Place`` for what each call promises. ``close`` lets its connections go."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        workspace: str,
        repository: str,
        default_branch: str = "",
        scopes: Scopes,
    ) -> None:
        self._client = client
        self._clock = clock
        self._root = ("repositories", workspace, repository)
        self._default_branch = default_branch
        self._main_branch = ("", float("-inf"))
        self._scopes = scopes
        self._contents = Contents()
        self._trees = CloudTrees(client, self._root, scopes.read)
        self._meta = lru_cache(_METAS_KEPT)(lambda *key: self._trees.meta(*key).json_object())
        self._web = _web_base(client.base, workspace, repository)
        self._commits = Commits(self, client, self._root, scopes)
        self._proposals = Proposals(client, self._root, scopes, tip_of=self.tip, web_base=self._web)

    def close(self) -> None:
        self._client.close()

    def check(self, *, for_writing: bool) -> list[Check]:
        return checks_of(self, self._client, self._root, self._scopes, for_writing=for_writing)

    def default_branch(self) -> str:
        if self._default_branch:
            return self._default_branch
        name, read_at = self._main_branch
        if self._clock.monotonic() - read_at > _DEFAULT_BRANCH_SECONDS:
            name = self.main_branch()
            self._main_branch = (name, self._clock.monotonic())
        return name

    def main_branch(self) -> str:
        """Return the repository's own main branch, asked anew; raises Missing when it is empty."""
        what = f"The repository “{clean('/'.join(self._root[1:]), 200)}”"
        answer = self._get(query=(only("full_name", "mainbranch.name"),), what=what)
        name = answers.text_of(answer.json_object(), "mainbranch", "name")
        if not name:
            raise Missing("The repository is empty: it has no branch yet. Make the first commit.")
        return name

    def refs(self, text: str = "", *, limit: int = 100) -> list[Ref]:
        found = self._refs("branches", text, limit)
        return found + self._refs("tags", text, limit - len(found))

    def _refs(self, kind: str, text: str, limit: int) -> list[Ref]:
        if limit <= 0:
            return []
        fields = only("values.name", "values.target.hash", "values.target.date", "next")
        query = [fields, ("sort", "-target.date"), ("pagelen", str(min(limit, _PAGE)))]
        if text:
            query.append(("q", f"name ~ {quoted(text)}"))
        call = self._call("refs", kind, query=query, what="The repository", is_listing=True)
        found: list[Ref] = []
        seen: set[str] = set()
        while True:
            page = self._client.call(call).json_object()
            refs = (answers.ref_of(value, is_tag=kind == "tags") for value in answers.values_of(page))
            found += [ref for ref in refs if ref is not None]
            link = answers.text_of(page, "next")
            if not link or len(found) >= limit:
                return found[:limit]
            if link in seen:
                raise Unanswered("Bitbucket's pages of branches lead back to themselves.")
            seen.add(link)
            call = self._call(link=link, is_listing=True)

    def tip(self, branch: str) -> str:
        return self._target("branches", branch, f"The branch “{clean(branch, 100)}”")

    def _target(self, kind: str, name: str, what: str) -> str:
        if not name:
            raise Missing(f"{what} has no name.")
        answer = self._get("refs", kind, *name.split("/"), query=(only("name", "target.hash"),), what=what)
        return answers.hash_of(answer.json_object(), "target", "hash")

    def resolve(self, ref: str) -> str:
        """A full hash is asked for as such first: to name a branch so is forbidden nearly everywhere."""
        if answers.FULL_HASH.match(ref):
            answer = self._get("commit", ref, query=(only("hash"),), what=f"The commit {ref}")
            return answers.hash_of(answer.json_object(), "hash")
        try:
            return self.tip(ref)
        except Missing:
            return self._target("tags", ref, f"A branch or a tag “{clean(ref, 100)}”")

    def list_files(self, commit: str) -> list[Entry]:
        return self._trees.list_files(commit)

    def changes_between(
        self, before: str, after: str, *, wanted: Callable[[str], bool]
    ) -> PathChanges | None:
        return self._trees.changes_between(before, after, wanted=wanted)

    def stat(self, commit: str, path: str) -> Stat:
        found = self.meta(commit, path)
        if answers.is_folder(found):
            raise Missing(f"“{clean(path)}” is a folder.")
        return answers.stat_of(found, path)

    def meta(self, commit: str, path: str) -> answers.Json:
        """Return what Bitbucket says about a path, a folder too; a commit's never changes, so it is kept."""
        return self._meta(commit, path)

    def read(self, commit: str, path: str, *, most_bytes: int) -> bytes:
        return self.content(commit, path, most_bytes=most_bytes).content

    def content(self, commit: str, path: str, *, most_bytes: int) -> Content:
        """Return what ``read`` does, with its version."""
        kept = self._contents.get(commit, path)
        if kept is not None and len(kept.content) <= most_bytes:
            return kept
        answer = self._client.call(
            self._call(
                "src", commit, *path.split("/"),
                headers={"Accept": "*/*"}, what=_file(path), most_bytes=most_bytes,
                accepts=frozenset({200, 301, 302}),
            )
        )  # fmt: skip
        if answer.status != 200:
            raise Unsupported("The file is in Git LFS: its contents are on a server that is not asked.")
        if answer.media_type == "application/json" and "content-disposition" not in answer.headers:
            raise Missing(f"“{clean(path)}” is a folder.")
        found = Content(answer.body, answer.headers.get("etag", ""))
        self._contents.keep(commit, path, found)
        return found

    def last_change(self, commit: str, path: str) -> CommitInfo | None:
        names = ("hash", "date", "message", "author.raw", "author.user.display_name")
        fields = only(*(f"values.commit.{name}" for name in names))
        query = (("pagelen", "1"), ("renames", "false"), fields)
        try:
            page = self._get("filehistory", commit, *path.split("/"), query=query, what=_file(path))
        except Missing:
            return None
        values = answers.values_of(page.json_object())
        return answers.change_of(values[0]) if values else None

    def holds(self, commit: str, earlier: str) -> bool:
        query = (("include", earlier), ("exclude", commit), ("pagelen", "1"), only("values.hash"))
        page = self._get("commits", query=query, what=f"The commit {earlier} or {commit}").json_object()
        answers.values_of(page)  # raises for what is no list
        return bool(page["values"] == [])

    def create_branch(self, name: str, commit: str) -> None:
        call = self._call(
            "refs", "branches",
            method="POST", json={"name": name, "target": {"hash": commit}},
            accepts=frozenset({201}) | _REFUSED_INPUT, needs=self._scopes.branch,
        )  # fmt: skip
        try:
            answer = self._client.call(call)
        except Unanswered as error:
            if error.extra.get("is_unsure") and self._tip_or_none(name) == commit:
                return
            raise
        if answer.status != 201:
            raise self._not_created(name, answer)

    def _not_created(self, name: str, answer: Answer) -> PlaceError:
        problem = answer.problem()
        if problem.name == _BRANCH_EXISTS or self._tip_or_none(name) is not None:
            return Exists(f"There is a branch “{clean(name, 100)}” already.")
        return self._client.error(answer, what="The branch")

    def _tip_or_none(self, branch: str) -> str | None:
        try:
            return self.tip(branch)
        except PlaceError:
            return None

    def delete_branch(self, name: str, *, tip: str = "") -> None:
        call = self._call(
            "refs", "branches", *name.split("/"),
            method="DELETE", accepts=frozenset({204}), needs=self._scopes.write,
        )  # fmt: skip
        try:
            if tip and self.tip(name) != tip:
                raise Stale(f"Somebody committed on the branch “{clean(name, 100)}” meanwhile; it is kept.")
            self._client.call(call)
        except Missing:
            return

    def commit(
        self, branch: str, base: str, changes: Sequence[FileChange], message: str, author: Author
    ) -> str:
        return self._commits.commit(branch, base, changes, message, author)

    def first_branch(self) -> str:
        return self._default_branch or FIRST_BRANCH

    def first_commit(self, branch: str, path: str, content: bytes, message: str, author: Author) -> str:
        change = FileChange(path, Action.WRITE, content, is_new=True)
        return self._commits.first(branch, change, message, author)

    def merge(
        self, branch: str, target: str, *, tip: str, target_tip: str, author: Author, message: str
    ) -> str:
        raise Unsupported("At Bitbucket a pull request brings one branch into another: open one.")

    def open_proposal(self, draft: ProposalDraft) -> Proposal:
        return self._proposals.open(draft)

    def proposal(self, id_: str) -> Proposal:
        return self._proposals.get(id_)

    def link_to_file(self, ref: str, path: str) -> str:
        if not self._web:
            return ""
        return f"{self._web}/src/{quote(ref, safe='')}/{quote(path)}"

    def link_to_branch(self, name: str) -> str:
        return f"{self._web}/branch/{quote(name)}" if self._web else ""

    def budget(self) -> Budget | None:
        return self._client.budget()

    def _call(self, *segments: str, needs: str = "", what: str = "The repository", **more: Any) -> Call:
        return Call(segments=(*self._root, *segments), needs=needs or self._scopes.read, what=what, **more)

    def _get(self, *segments: str, **more: Any) -> Answer:
        return self._client.call(self._call(*segments, **more))


def _file(path: str) -> str:
    return f"The file “{clean(path)}”"


def _web_base(api_base: str, workspace: str, repository: str) -> str:
    """Return where the repository's pages are, empty when the API's address does not tell."""
    parts = urlsplit(api_base)
    if not parts.netloc.startswith("api."):
        return ""
    return f"{parts.scheme}://{parts.netloc[4:]}/{quote(workspace, safe='')}/{quote(repository, safe='')}"
