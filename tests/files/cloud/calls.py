"""The calls that the Cloud stand-in knows, in the order of the table of operations."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from dulwich.objects import ObjectID

from tests.files.cloud.answering import Denied, Given, Json, answer_json, conditions_of
from tests.files.cloud.changing import create_branch, create_commit, delete_branch
from tests.files.cloud.pulls import conflicts, file_conflicts, one_pull, open_pull, pulls
from tests.files.cloud.requests import Misused
from tests.files.loopback import Result

if TYPE_CHECKING:
    from tests.files.cloud.server import CloudServer


def repository(server: "CloudServer", given: Given) -> Result:
    is_empty = server.git.tip(server.git.default) is None
    main = None if is_empty else {"type": "branch", "name": server.git.default}
    name = f"{server.workspace}/{server.slug}"
    return answer_json(
        {"type": "repository", "full_name": name, "mainbranch": main, "is_private": True}, given
    )


def refs(kind: str, type_: str) -> Callable[["CloudServer", Given], Result]:
    def answer(server: "CloudServer", given: Given) -> Result:
        found: list[Json] = [
            {"type": type_, "name": name, "target": server.commit_json(commit)}
            for name, commit in server.git.refs(kind).items()
        ]
        if text := given.query.get("q"):
            wanted = conditions_of(text)[0][2].lower()
            found = [ref for ref in found if wanted in ref["name"].lower()]
        if "sort" in given.query:
            found.sort(key=lambda ref: (ref["target"]["date"], ref["name"]), reverse=True)
        return server.page(given, found)

    return answer


def ref(kind: str, type_: str) -> Callable[["CloudServer", Given], Result]:
    def answer(server: "CloudServer", given: Given) -> Result:
        name = given.parts["name"]
        commit = server.git.refs(kind).get(name)
        if commit is None:
            raise Denied(404, f"{type_.title()} {name} does not exist")
        links = {"html": {"href": f"https://bitbucket.org/{server.workspace}/{server.slug}/branch/{name}"}}
        return answer_json(
            {"type": type_, "name": name, "links": links, "target": server.commit_json(commit)}, given
        )

    return answer


def commit(server: "CloudServer", given: Given) -> Result:
    return answer_json(server.commit_json(server.commit_of(given)), given)


def commits(server: "CloudServer", given: Given) -> Result:
    ends = given.query["include"], given.query["exclude"]
    if gone := [end for end in ends if server.git.commit_object(end) is None]:
        raise Denied(404, f"Commit not found: {gone[0]}")
    include, exclude = (ObjectID(end.encode()) for end in ends)
    found = server.git.repo.get_walker([include], exclude=[exclude])
    return server.page(given, [server.commit_json(each.commit.id.decode()) for each in found], default=30)


def file_history(server: "CloudServer", given: Given) -> Result:
    commit, path = server.commit_of(given), given.parts["path"]
    found = [
        {"type": "commit_file", "path": path, "commit": server.commit_json(entry.commit.id.decode())}
        for entry in server.git.repo.get_walker([ObjectID(commit.encode())], paths=[path.encode()])
    ]
    return server.page(given, found, default=50)


def source(server: "CloudServer", given: Given) -> Result:
    commit, path = server.commit_of(given), given.parts["path"]
    is_file = path in server.git.files(commit)
    if given.query.get("format") == "meta":
        if is_file:
            return answer_json(server.file(commit, path), given)
        server.entries(commit, path.rstrip("/"), 1)
        return answer_json({"type": "commit_directory", "path": path, "commit": {"hash": commit}}, given)
    if is_file:
        return _raw(server, given, commit, path)
    if path and not path.endswith("/"):
        return server.page(given, server.entries(commit, path, 1))
    depth = int(given.query.get("max_depth", "1"))
    if depth > server.most_depth:
        raise Denied(555, "The call timed out")
    found = server.entries(commit, path.rstrip("/"), depth)
    return server.page(given, found + ([] if path else server.extra_entries))


def _raw(server: "CloudServer", given: Given, commit: str, path: str) -> Result:
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


def diffstat(server: "CloudServer", given: Given) -> Result:
    after, before = (server.known(commit) for commit in given.parts["spec"].split(".."))
    if not server.differences.are_in_time:
        raise Denied(555, "The call timed out")
    found = server.differences.of(server.git, after, before, given.query)
    return server.page(given, found, default=500, most=500)


ANSWERS: tuple[Callable[["CloudServer", Given], Result], ...] = (
    repository,
    refs("heads", "branch"),
    refs("tags", "tag"),
    ref("heads", "branch"),
    ref("tags", "tag"),
    commit,
    commits,
    file_history,
    source,
    file_conflicts,
    diffstat,
    create_branch,
    delete_branch,
    create_commit,
    pulls,
    open_pull,
    one_pull,
    conflicts,
)
"""In the order of the operations."""
