"""A Bitbucket Cloud of our own on loopback: REST 2.0 as the contract describes it, over real git objects.

It is strict: what the real one may refuse or take otherwise than meant is noted in ``faults`` and answered
with 400, and answers are trimmed to ``fields``. A test that ends with ``assert server.faults == []`` proves
each request.
"""

import base64
import binascii
import hashlib
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.files.cloud.answering import Denied, Given, Json, Token, answer_error, answer_json
from tests.files.cloud.calls import ANSWERS
from tests.files.cloud.diffstat import Differences
from tests.files.cloud.requests import (
    CLASSIC,
    OPERATIONS,
    Misused,
    form_of,
    json_of,
    operation_of,
    query_of,
    without_body,
)
from tests.files.git_repository import EXECUTABLE, LINK, SUBMODULE, GitRepository
from tests.files.loopback import Asked, Loopback, Result


class CloudServer(Loopback):
    """One repository of one workspace; ``url`` is the API's base address."""

    def __init__(self, folder: Path, *, workspace: str = "acme", slug: str = "config") -> None:
        self.git = GitRepository(folder)
        self.workspace, self.slug = workspace, slug
        self.tokens: dict[str, Token] = {
            "ATATTpersons-token": Token("oskar@example.org"),
            "ATCTaccess-token": Token("", CLASSIC["repository:write"] | CLASSIC["pullrequest:write"]),
        }
        self.faults: list[str] = []
        self.most_depth = 50
        """Listings that go deeper time out with 555."""
        self.lfs: set[str] = set()
        self.extra_entries: list[Json] = []
        self.limit_headers: Mapping[str, str] = {}
        self.pulls: list[Json] = []
        self.conflicts: list[Json] | None = []
        """None: the call is not known here."""
        self.differences = Differences()
        self.has_keys = True
        """Errors name a key for programs."""
        self._listings: dict[tuple[str, str, int], list[Json]] = {}
        self._pages: dict[str, list[Any]] = {}
        self._blobs: dict[str, tuple[int, bool]] = {}
        self._lock = threading.RLock()
        super().__init__()

    @property
    def url(self) -> str:
        return f"{self.root}/2.0"

    @property
    def base(self) -> str:
        """The address of the repository."""
        return f"{self.url}/repositories/{self.workspace}/{self.slug}"

    def close(self) -> None:
        super().close()
        self.git.close()

    def answer(self, asked: Asked) -> Result:
        with self._lock:
            try:
                return self._answer(asked)
            except Misused as error:
                self.faults.append(f"{asked.line}: {error}")
                return answer_error(400, f"unexpected: {error}")
            except Denied as error:
                return answer_error(error.status, error.message, error.key if self.has_keys else "")

    def _answer(self, asked: Asked) -> Result:
        if not asked.path.startswith("/2.0/"):
            return Result(404, b"<!doctype html><title>404</title>", "text/html; charset=utf-8")
        if asked.headers.get("accept-encoding") != "identity":
            raise Misused("a packed answer would be taken")
        operation, parts = operation_of(asked, asked.path.removeprefix("/2.0"))
        query = query_of(asked, operation)
        given = Given(asked, operation, parts, query, self._token(asked))
        if operation.json is not None:
            given.json = json_of(asked, operation)
        elif operation.is_form:
            given.form = form_of(asked)
        else:
            without_body(asked)
        self._may(given)
        result = ANSWERS[OPERATIONS.index(operation)](self, given)
        return Result(result.status, result.body, result.media_type, {**result.headers, **self.limit_headers})

    def _token(self, asked: Asked) -> Token:
        kind, _, credential = asked.headers.get("authorization", "").partition(" ")
        if kind not in ("Basic", "Bearer"):
            raise Misused("no credential")
        mail, secret = "", credential
        if kind == "Basic":
            try:
                mail, _, secret = base64.b64decode(credential, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise Misused("a credential that can't be read") from error
        token = self.tokens.get(secret)
        if token is None or token.mail != mail:
            raise Denied(401, "Token is invalid, expired, or not supported for this endpoint.")
        return token

    def _may(self, given: Given) -> None:
        if not given.operation.scopes <= given.token.scopes:
            raise Denied(403, "Your credentials lack one or more required privilege scopes.")
        if given.operation.method != "GET" and not given.token.can_write:
            raise Denied(403, "Access denied. You must have write or admin access.")
        if (given.parts["workspace"], given.parts["repo_slug"]) != (self.workspace, self.slug):
            raise Denied(404, f"Repository {given.parts['workspace']}/{given.parts['repo_slug']} not found")

    def page(self, given: Given, values: list[Any], *, default: int = 10, most: int = 100) -> Result:
        """Return a page; the next one's address is made up, so that only who follows it gets there."""
        length = int(given.query.get("pagelen", default))
        if length > most:
            raise Denied(400, "Invalid pagelen")
        if "page" in given.query:
            values = self._pages.get(given.query["page"], [])
        body: Json = {"pagelen": length, "values": values[:length], "page": 1}
        if len(values) > length:
            name = hashlib.sha256(f"{given.asked.line} {len(values)}".encode()).hexdigest()[:12]
            self._pages[name] = values[length:]
            kept = [pair for pair in given.asked.query.split("&") if pair and not pair.startswith("page=")]
            body["next"] = f"{self.root}{given.asked.path}?{'&'.join([*kept, f'page={name}'])}"
        return answer_json(body, given)

    def commit_of(self, given: Given) -> str:
        return self.known(given.parts["commit"])

    def known(self, commit: str) -> str:
        """Return a commit that is there; else the answer is 404."""
        if self.git.commit_object(commit) is None:
            raise Denied(404, f"Commit not found: {commit}")
        return commit

    def entries(self, commit: str, folder: str, depth: int) -> list[Json]:
        """Return files and folders below a folder, breadth first."""
        key = (commit, folder, depth)
        if key not in self._listings:
            files, start = self.git.files(commit), f"{folder}/" if folder else ""
            found: dict[str, Json] = {}
            for path in files:
                if path.startswith(start):
                    self._add(found, commit, path, start, depth)
            if start and not found:
                raise Denied(404, f"No such file or directory: {folder}")
            self._listings[key] = sorted(
                found.values(), key=lambda entry: (entry["path"].count("/"), entry["path"])
            )
        return self._listings[key]

    def _add(self, found: dict[str, Json], commit: str, path: str, start: str, depth: int) -> None:
        names = path[len(start) :].split("/")
        for level in range(1, min(len(names), depth + 1)):
            folder = start + "/".join(names[:level])
            found.setdefault(folder, {"type": "commit_directory", "path": folder, "commit": {"hash": commit}})
        if len(names) <= depth:
            found[path] = self.file(commit, path)

    def file(self, commit: str, path: str) -> Json:
        leaf = self.git.files(commit)[path]
        size, is_binary = self._blob(commit, path, leaf.id)
        marks = {LINK: ["link"], EXECUTABLE: ["executable"], SUBMODULE: ["subrepository"]}.get(leaf.mode, [])
        if is_binary:
            marks = [*marks, "binary"]
        if path in self.lfs:
            marks = [*marks, "lfs"]
        return {
            "type": "commit_file",
            "path": path,
            "size": size,
            "attributes": marks,
            "commit": {"hash": commit},
        }

    def _blob(self, commit: str, path: str, id_: str) -> tuple[int, bool]:
        """Return size and whether it is binary; of a submodule the length of its hash."""
        if id_ not in self._blobs:
            content = self.git.content(commit, path)
            self._blobs[id_] = (40, False) if content is None else (len(content), b"\0" in content)
        return self._blobs[id_]

    def commit_json(self, commit: str) -> Json:
        found = self.git.commit_object(commit)
        assert found is not None
        raw = found.author.decode()
        return {
            "type": "commit",
            "hash": commit,
            "date": datetime.fromtimestamp(found.commit_time, UTC).isoformat(),
            "message": found.message.decode(),
            "author": {"type": "author", "raw": raw, "user": {"display_name": raw.partition(" <")[0]}},
            "parents": [{"type": "commit", "hash": parent.decode()} for parent in found.parents],
        }
