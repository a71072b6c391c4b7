"""A Bitbucket Data Center of our own on loopback: REST 1.0 as contracts describe it, over real git objects.

It is strict: a request that the real one may not understand as it is meant (an unknown parameter or member,
a boolean that is not ``true`` or ``false``, a wrong media type, no credential) is noted in ``faults`` and
answered with 400, so that a test that ends with ``assert server.faults == []`` proves each request.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from tests.files.datacenter.calls import ROUTES
from tests.files.datacenter.requests import Caller, Denied, Found, Given, Misused, caller_of, read_query
from tests.files.git_repository import GitRepository
from tests.files.loopback import Asked, Loopback, Result


class DataCenter(Loopback):
    """One repository of one project at ``url``; ``root`` is the server's own address, without the context."""

    def __init__(
        self, folder: Path, *, context: str = "/bitbucket", project: str = "OPS", slug: str = "config"
    ) -> None:
        self.git = GitRepository(folder)
        self.context, self.project, self.slug = context, project, slug
        self.callers: dict[str, Caller] = {
            "oskars-token": Caller("oskar", "oskar@example.org"),
            "veras-token": Caller("vera", "vera@example.org", can_write=False),
            "nils-token": Caller("nils", "nils@example.org", can_read=False, can_write=False),
            "mailless-token": Caller("robot", ""),
            "project-token": Caller("access-7f31", "", is_person=False),
        }
        self.reviewers = {"ada", "vera"}
        self.faults: list[str] = []
        self.file_cap, self.page_cap, self.default_limit = 100_000, 1000, 25
        self.extra_paths: list[object] = []
        self.is_archived = False
        self.protected: set[str] = set()
        self.vetoes: list[str] = []
        self.duplicate_status = 400
        self.signs_in_by_page = False
        self.pulls: list[dict[str, Any]] = []
        self.conflict: bool | Literal["broken"] | None = False
        self._lock = threading.RLock()
        super().__init__()

    @property
    def port(self) -> int:
        return int(self.root.rpartition(":")[2])

    @property
    def url(self) -> str:
        return self.root + self.context

    def close(self) -> None:
        super().close()
        self.git.close()

    def answer(self, asked: Asked) -> Result:
        given = Given(asked)
        with self._lock:
            try:
                found = self._answer(given)
            except Misused as error:
                self.faults.append(f"{asked.line}: {error}")
                found = _error(400, f"unexpected: {error}", "ArgumentValidationException")
            except Denied as error:
                found = _error(error.status, error.message, error.name, error.extra)
        account = {"X-AUSERNAME": given.caller.name, "X-AUSERID": "7"} if given.caller else {}
        body = b"" if found.value is None else json.dumps(found.value).encode()
        return Result(found.status, body if found.raw is None else found.raw, found.kind, account)

    def _answer(self, given: Given) -> Found:
        if not given.asked.path.startswith(f"{self.context}/"):
            return Found(raw=b"<!doctype html><title>404 Not Found</title>", status=404, kind="text/html")
        path = given.asked.path.removeprefix(self.context)
        if self.signs_in_by_page or not path.startswith("/rest/"):
            return Found(raw=b"<!doctype html><title>Log in</title><form>", kind="text/html;charset=UTF-8")
        for method, pattern, query, answer, is_open in ROUTES:
            found = re.fullmatch(pattern, path)
            if method == given.asked.method and found:
                parts = {
                    name: unquote(part, errors="strict") for name, part in found.groupdict().items() if part
                }
                given.query = read_query(given.asked.query, query)
                given.caller = caller_of(given, self.callers, is_open=is_open)
                self._find(parts)
                return answer(self, given, parts)
        raise Misused("no such call")

    def _find(self, parts: Mapping[str, str]) -> None:
        if "key" not in parts:
            return
        if parts["key"].lower() != self.project.lower():
            raise Denied(404, f"Project {parts['key']} does not exist.", "project.NoSuchProjectException")
        if parts["slug"].lower() != self.slug.lower():
            raise Denied(
                404,
                f"Repository {parts['key']}/{parts['slug']} does not exist.",
                "repository.NoSuchRepositoryException",
            )

    def reads(self, given: Given) -> Caller:
        """Return who asks, if it may read; a known person without a right is told so with 401."""
        caller = given.caller
        if caller is None or not caller.can_read:
            raise Denied(401, "You are not permitted to access this resource", "AuthorisationException")
        return caller

    def writes(self, given: Given, branch: str = "") -> Caller:
        caller = self.reads(given)
        if not caller.can_write:
            raise Denied(401, "You are not permitted to access this resource", "AuthorisationException")
        if self.is_archived:
            raise Denied(
                409, "The repository is archived and read-only.", "repository.RepositoryArchivedException"
            )
        if branch in self.protected:
            raise Denied(
                403,
                f"Branch {branch} can only be changed by a pull request.",
                "repository.ref.RefAccessException",
            )
        return caller

    def commit_of(self, ref: str) -> str:
        """Return the commit of a hash, a full ref, a branch or a tag."""
        heads, tags = self.git.refs("heads"), self.git.refs("tags")
        for found in (
            heads.get(ref.removeprefix("refs/heads/")) if ref.startswith("refs/heads/") else None,
            tags.get(ref.removeprefix("refs/tags/")) if ref.startswith("refs/tags/") else None,
            ref if re.fullmatch("[0-9a-f]{40}", ref) and self.git.commit_object(ref) else None,
            heads.get(ref),
            tags.get(ref),
        ):
            if found:
                return found
        raise Denied(
            404, f"Commit '{ref}' does not exist in repository '{self.slug}'.", "commit.NoSuchCommitException"
        )

    def commit_json(self, id_: str) -> dict[str, Any]:
        found = self.git.commit_object(id_)
        assert found is not None
        name, _, address = found.author.decode().partition(" <")
        person = {"name": name, "emailAddress": address.rstrip(">")}
        at = found.commit_time * 1000
        return {
            "id": id_,
            "displayId": id_[:11],
            "author": person,
            "authorTimestamp": at,
            "committer": person,
            "committerTimestamp": at,
            "message": found.message.decode(),
            "parents": [{"id": each.decode(), "displayId": each.decode()[:11]} for each in found.parents],
        }

    def page(self, given: Given, values: list[Any], cap: int | None = None) -> Found:
        """Cut a list as given, and silently to the cap."""
        start = int(given.query.get("start", "0"))
        limit = min(int(given.query.get("limit", self.default_limit)), cap or self.page_cap)
        shown = values[start : start + limit]
        is_last = start + limit >= len(values)
        return Found(
            {
                "values": shown,
                "size": len(shown),
                "limit": limit,
                "start": start,
                "isLastPage": is_last,
                "nextPageStart": None if is_last else start + limit,
            }
        )


def _error(status: int, message: str, name: str, extra: Mapping[str, Any] | None = None) -> Found:
    error = {"context": None, "message": message, "exceptionName": f"com.atlassian.bitbucket.{name}"}
    return Found({"errors": [error | dict(extra or {})]}, status=status)


@contextmanager
def data_center(folder: Path, **how: Any) -> Iterator[DataCenter]:
    """Serve for a while; the end proves that each request was one that Bitbucket understands."""
    server = DataCenter(folder, **how)
    try:
        yield server
    finally:
        server.close()
    assert server.faults == []
