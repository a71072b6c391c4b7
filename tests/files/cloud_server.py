"""A Bitbucket Cloud of our own on loopback: REST 2.0 as the contract describes it, over real git objects.

It is strict: what the real one may refuse or take otherwise than meant is noted in ``faults`` and answered
with 400, and answers are trimmed to ``fields``. A test that ends with ``assert server.faults == []`` proves
each request.
"""

import base64
import binascii
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dulwich.objects import ObjectID

from tests.files.cloud_diffstat import Differences
from tests.files.cloud_requests import (
    CLASSIC,
    OPERATIONS,
    PULL,
    READ,
    SEE_PULLS,
    WRITE,
    FormPart,
    Misused,
    Operation,
    form_of,
    json_of,
    operation_of,
    query_of,
    without_body,
)
from tests.files.git_repository import EXECUTABLE, FILE, LINK, SUBMODULE, GitRepository
from tests.files.loopback import Asked, Loopback, Result

Json = dict[str, Any]
ALL_SCOPES = frozenset({READ, WRITE, SEE_PULLS, PULL})
BRANCH_NAME = re.compile(r"(?!/)[A-Za-z0-9._/-]+(?<!/)(?<!\.lock)")
_ACCOUNT = "{504c3b62-8120-4f0c-a7bc-87800b9d6f70}"


class Denied(Exception):
    """An answer of the documented kinds."""

    def __init__(self, status: int, message: str, key: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.key = status, message, key


@dataclass
class Token:
    """What a token may; ``mail`` is empty for an access token, which is a bearer's."""

    mail: str
    scopes: frozenset[str] = ALL_SCOPES
    can_write: bool = True


@dataclass
class Given:
    """A request that fits its operation."""

    asked: Asked
    operation: Operation
    parts: dict[str, str]
    query: dict[str, str]
    token: Token
    json: Json = field(default_factory=dict)
    form: list[FormPart] = field(default_factory=list)


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
                return _error(400, f"unexpected: {error}")
            except Denied as error:
                return _error(error.status, error.message, error.key if self.has_keys else "")

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
        return _json(body, given)

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


def _repository(server: CloudServer, given: Given) -> Result:
    is_empty = server.git.tip(server.git.default) is None
    main = None if is_empty else {"type": "branch", "name": server.git.default}
    name = f"{server.workspace}/{server.slug}"
    return _json({"type": "repository", "full_name": name, "mainbranch": main, "is_private": True}, given)


def _refs(kind: str, type_: str) -> Callable[[CloudServer, Given], Result]:
    def answer(server: CloudServer, given: Given) -> Result:
        found: list[Json] = [
            {"type": type_, "name": name, "target": server.commit_json(commit)}
            for name, commit in server.git.refs(kind).items()
        ]
        if text := given.query.get("q"):
            wanted = _conditions(text)[0][2].lower()
            found = [ref for ref in found if wanted in ref["name"].lower()]
        if "sort" in given.query:
            found.sort(key=lambda ref: (ref["target"]["date"], ref["name"]), reverse=True)
        return server.page(given, found)

    return answer


def _ref(kind: str, type_: str) -> Callable[[CloudServer, Given], Result]:
    def answer(server: CloudServer, given: Given) -> Result:
        name = given.parts["name"]
        commit = server.git.refs(kind).get(name)
        if commit is None:
            raise Denied(404, f"{type_.title()} {name} does not exist")
        links = {"html": {"href": f"https://bitbucket.org/{server.workspace}/{server.slug}/branch/{name}"}}
        return _json(
            {"type": type_, "name": name, "links": links, "target": server.commit_json(commit)}, given
        )

    return answer


def _commit(server: CloudServer, given: Given) -> Result:
    return _json(server.commit_json(server.commit_of(given)), given)


def _commits(server: CloudServer, given: Given) -> Result:
    ends = given.query["include"], given.query["exclude"]
    if gone := [end for end in ends if server.git.commit_object(end) is None]:
        raise Denied(404, f"Commit not found: {gone[0]}")
    include, exclude = (ObjectID(end.encode()) for end in ends)
    found = server.git.repo.get_walker([include], exclude=[exclude])
    return server.page(given, [server.commit_json(each.commit.id.decode()) for each in found], default=30)


def _file_history(server: CloudServer, given: Given) -> Result:
    commit, path = server.commit_of(given), given.parts["path"]
    found = [
        {"type": "commit_file", "path": path, "commit": server.commit_json(entry.commit.id.decode())}
        for entry in server.git.repo.get_walker([ObjectID(commit.encode())], paths=[path.encode()])
    ]
    return server.page(given, found, default=50)


def _source(server: CloudServer, given: Given) -> Result:
    commit, path = server.commit_of(given), given.parts["path"]
    is_file = path in server.git.files(commit)
    if given.query.get("format") == "meta":
        if is_file:
            return _json(server.file(commit, path), given)
        server.entries(commit, path.rstrip("/"), 1)
        return _json({"type": "commit_directory", "path": path, "commit": {"hash": commit}}, given)
    if is_file:
        return _raw(server, given, commit, path)
    if path and not path.endswith("/"):
        return server.page(given, server.entries(commit, path, 1))
    depth = int(given.query.get("max_depth", "1"))
    if depth > server.most_depth:
        raise Denied(555, "The call timed out")
    found = server.entries(commit, path.rstrip("/"), depth)
    return server.page(given, found + ([] if path else server.extra_entries))


def _raw(server: CloudServer, given: Given, commit: str, path: str) -> Result:
    if set(given.query) - {"format"}:
        raise Misused("parameters of a listing with a file")
    if path in server.lfs:
        return Result(301, headers={"Location": "https://media.example.net/file/1"})
    leaf = server.git.files(commit)[path]
    etag = hashlib.sha256(f"{leaf.mode} {leaf.id}".encode()).hexdigest()[:16]
    content = server.git.content(commit, path)
    headers = {"ETag": f'"{etag}"', "Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    media_type = "application/json" if path.endswith(".json") else "text/plain"
    return Result(200, leaf.id.encode() if content is None else content, media_type, headers)


def _create_branch(server: CloudServer, given: Given) -> Result:
    name, commit = given.json["name"], given.json["target"]["hash"]
    if not BRANCH_NAME.fullmatch(name) or name.startswith("refs/"):
        raise Misused(f"a branch {name!r}")
    if len(commit) != 40:
        raise Misused("a short hash may be ambiguous")
    if server.git.commit_object(commit) is None:
        raise Denied(400, "The target is no commit of this repository", "BRANCH_TARGET_MISSING")
    heads = server.git.refs("heads")
    if name in heads:
        raise Denied(400, f'Branch "{name}" already exists.', "BRANCH_ALREADY_EXISTS")
    if any(_is_below(name, head) or _is_below(head, name) for head in heads):
        raise Denied(400, f'Branch "{name}" clashes with another one.')
    server.git.point(name, commit)
    return _json({"type": "branch", "name": name, "target": server.commit_json(commit)}, given, 201)


def _delete_branch(server: CloudServer, given: Given) -> Result:
    name = given.parts["name"]
    if server.git.tip(name) is None:
        raise Denied(404, f"Branch {name} does not exist")
    if name == server.git.default:
        raise Denied(400, "The main branch can't be deleted")
    server.git.point(name, None)
    return Result(204)


def _create_commit(server: CloudServer, given: Given) -> Result:
    fields = [(part.name, part.content.decode()) for part in given.form if part.filename is None]
    names = [name for name, _ in fields if name != "files"]
    is_first = not server.git.refs("heads")
    if sorted(names) != ["author", "branch", "message", *(() if is_first else ["parents"])]:
        raise Misused(f"the fields {names}")
    meta = dict(fields)
    if not re.fullmatch(r"[^<>\n]+ <[^<>\n ]+>", meta["author"]) or not meta["message"].strip():
        raise Misused(f"the author {meta['author']!r}, or a message that is empty")
    tip, parent = server.git.tip(meta["branch"]), meta.get("parents", "")
    if tip is not None and tip != parent:
        raise Denied(409, "The parent is not the tip of the branch.")
    files, modes = _changes(server, given, [value for name, value in fields if name == "files"], parent)
    if is_first:
        server.git.default = meta["branch"]
    elif tip is None:
        server.git.point(meta["branch"], meta["parents"])
    made = server.git.commit(meta["branch"], files, meta["message"], author=meta["author"], modes=modes)
    return Result(201, headers={"Location": f"{server.base}/commit/{made}"})


def _changes(
    server: CloudServer, given: Given, deleted: list[str], parent: str
) -> tuple[dict[str, bytes | None], dict[str, int]]:
    files: dict[str, bytes | None] = {}
    modes: dict[str, int] = {}
    for part in given.form:
        if part.filename is not None:
            path = _path(part.name)
            files[path] = part.content
            modes[path] = EXECUTABLE if part.attributes == "executable" else FILE
            if part.filename != path.rpartition("/")[2]:
                raise Misused(f"{path} with the file name {part.filename}")
    for name in deleted:
        path = _path(name)
        if path not in server.git.files(parent):
            raise Denied(400, f"{path} can't be removed: it is not there")
        files[path] = None
    if not files:
        raise Misused("a commit without a change")
    return files, modes


def _path(name: str) -> str:
    path = name.removeprefix("/")
    if path == name or any(part in ("", ".", "..", ".git") for part in path.split("/")):
        raise Misused(f"a path {name!r}")
    return path


def _pulls(server: CloudServer, given: Given) -> Result:
    conditions = _conditions(given.query["q"]) if "q" in given.query else []
    found = [
        pull
        for pull in server.pulls
        if pull["state"] == given.query.get("state", "OPEN")
        and all(_inner(pull, name) == value for name, _, value in conditions)
    ]
    return server.page(given, found, most=50)


def _open_pull(server: CloudServer, given: Given) -> Result:
    body = given.json
    source, target = body["source"]["branch"]["name"], body["destination"]["branch"]["name"]
    if body["type"] != "pullrequest" or not body["title"].strip():
        raise Misused("a pull request without type or title")
    tips = server.git.tip(source), server.git.tip(target)
    if None in tips:
        raise Denied(400, "branch not found")
    if tips[0] == tips[1]:
        raise Denied(400, "There are no changes to be pulled")
    if any(reviewer["uuid"] != _ACCOUNT for reviewer in body.get("reviewers", [])):
        raise Denied(400, "reviewers: an unknown account")
    number = len(server.pulls) + 1
    page = f"https://bitbucket.org/{server.workspace}/{server.slug}/pull-requests/{number}"
    server.pulls.append({**body, "id": number, "state": "OPEN", "links": {"html": {"href": page}}})
    return _json(server.pulls[-1], given, 201)


def _pull(server: CloudServer, given: Given) -> Json:
    for pull in server.pulls:
        if str(pull["id"]) == given.parts["pull_request_id"]:
            return pull
    raise Denied(404, "No such pull request")


def _one_pull(server: CloudServer, given: Given) -> Result:
    return _json(_pull(server, given), given)


def _conflicts(server: CloudServer, given: Given) -> Result:
    pull = _pull(server, given)
    if server.conflicts is None:
        raise Denied(404, "Resource not found")
    ends = [server.git.tip(pull[end]["branch"]["name"]) or "" for end in ("source", "destination")]
    return Result(
        302, headers={"Location": f"{server.base}/file-conflicts/{'..'.join(end[:12] for end in ends)}"}
    )


def _file_conflicts(server: CloudServer, given: Given) -> Result:
    return server.page(given, server.conflicts or [], default=500, most=500)


def _diffstat(server: CloudServer, given: Given) -> Result:
    after, before = (server.known(commit) for commit in given.parts["spec"].split(".."))
    if not server.differences.are_in_time:
        raise Denied(555, "The call timed out")
    found = server.differences.of(server.git, after, before, given.query)
    return server.page(given, found, default=500, most=500)


ANSWERS: tuple[Callable[[CloudServer, Given], Result], ...] = (
    _repository,
    _refs("heads", "branch"),
    _refs("tags", "tag"),
    _ref("heads", "branch"),
    _ref("tags", "tag"),
    _commit,
    _commits,
    _file_history,
    _source,
    _file_conflicts,
    _diffstat,
    _create_branch,
    _delete_branch,
    _create_commit,
    _pulls,
    _open_pull,
    _one_pull,
    _conflicts,
)
"""In the order of the operations."""


def _conditions(text: str) -> list[tuple[str, str, str]]:
    """Return field, operator and value of each condition of a query, all of which must hold."""
    one = r'([a-z_.]+) (~|=) "((?:[^"\\]|\\.)*)"'
    if not re.fullmatch(f"{one}(?: AND {one})*", text):
        raise Misused(f"a query {text!r}")
    return [(name, sign, re.sub(r"\\(.)", r"\1", value)) for name, sign, value in re.findall(one, text)]


def _inner(value: Any, names: str) -> Any:
    for name in names.split("."):
        value = value[name]
    return value


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _trimmed(value: Any, fields: Iterable[str]) -> Any:
    """Return a value with no more members than asked for, as ``fields`` does."""
    if isinstance(value, list):
        return [_trimmed(each, fields) for each in value]
    if not isinstance(value, dict):
        return value
    groups: dict[str, list[str]] = {}
    for name, _, rest in (text.partition(".") for text in fields):
        groups.setdefault(name, []).extend([rest] if rest else [])
    return {
        name: _trimmed(value[name], rest) if rest else value[name]
        for name, rest in groups.items()
        if name in value
    }


def _json(value: Json, given: Given, status: int = 200) -> Result:
    if "fields" in given.query:
        value = _trimmed(value, given.query["fields"].split(","))
    return Result(status, json.dumps(value).encode(), "application/json; charset=utf-8")


def _error(status: int, message: str, key: str = "") -> Result:
    error: Json = {"message": message, "id": f"mark-{status}"}
    if key:
        error["data"] = {"key": key}
    return Result(status, json.dumps({"type": "error", "error": error}).encode())
