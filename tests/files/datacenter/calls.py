"""The calls that the Data Center stand-in knows, and what it answers to each."""

import io
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from dulwich.objects import ObjectID
from dulwich.refs import Ref, check_ref_format

from tests.files.datacenter.requests import (
    REPOSITORY,
    Caller,
    Denied,
    Found,
    Given,
    Misused,
    read_form,
    read_json,
)
from tests.files.git_repository import LINK, SUBMODULE

if TYPE_CHECKING:
    from tests.files.datacenter.server import DataCenter

Answering = Callable[["DataCenter", Given, Mapping[str, str]], Found]


def properties(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    return Found({"version": "9.4.0", "buildNumber": "9004000", "displayName": "Bitbucket"})


def repository(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    return Found(_repository(server))


def repositories(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    caller = given.caller
    assert caller is not None
    may = caller.can_write if given.query.get("permission") == "REPO_WRITE" else caller.can_read
    is_asked = _repository(server)["name"].lower().startswith(given.query.get("name", "").lower())
    others = [_repository(server) | {"slug": f"{server.slug}-{number}", "id": number} for number in (8, 9)]
    return server.page(given, [*others, *([_repository(server)] if may and is_asked else [])])


def people(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    text = given.query.get("filter", "").lower()
    known = [
        each for each in server.callers.values() if each.is_person and text in f"{each.name} {each.mail}"
    ]
    other = Caller(f"{text}-too", f"{text}-too@example.org")
    return server.page(given, [_person(each) for each in [other, *known]])


def default_branch(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    if not server.git.refs("heads"):
        return Found(status=204)
    name = server.git.default
    return Found({"id": f"refs/heads/{name}", "displayId": name, "type": "BRANCH"})


def branches(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    return server.page(given, [_branch(server, name, tip) for name, tip in _filtered(server, given, "heads")])


def tags(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    return server.page(
        given,
        [
            {"id": f"refs/tags/{name}", "displayId": name, "type": "TAG", "latestCommit": tip, "hash": None}
            for name, tip in _filtered(server, given, "tags")
        ],
    )


def branch_create(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    body = read_json(given, {"name": str, "startPoint": str}, {"message": str})
    server.writes(given, body["name"])
    name, start = body["name"], server.commit_of(body["startPoint"])
    if not check_ref_format(Ref(f"refs/heads/{name}".encode())) or name.startswith("refs/"):
        raise Denied(400, f"'{name}' is not a valid branch name.", "repository.InvalidRefNameException")
    if name in server.git.refs("heads"):
        raise Denied(
            server.duplicate_status, f"Branch '{name}' already exists.", "repository.DuplicateRefException"
        )
    if any(_is_below(name, other) or _is_below(other, name) for other in server.git.refs("heads")):
        raise Denied(409, f"'{name}' clashes with a branch that is there.", "scm.CommandFailedException")
    server.git.point(name, start)
    return Found(_branch(server, name, start))


def branch_delete(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    body = read_json(given, {"name": str, "dryRun": bool}, {"endPoint": str})
    name = body["name"].removeprefix("refs/heads/")
    if name == body["name"]:
        raise Misused("a branch by its short name could be a tag")
    server.writes(given, name)
    tip = server.git.tip(name)
    if tip is None:
        raise Denied(400, f"Branch '{name}' does not exist.", "repository.NoSuchBranchException")
    if name == server.git.default:
        raise Denied(400, "The default branch can't be deleted.", "branch.DefaultBranchException")
    if body.get("endPoint", tip) != tip:
        raise Denied(400, "The branch points to another commit.", "repository.RefOutOfDateException")
    if not body["dryRun"]:
        server.git.point(name, None)
    return Found(status=204)


def files(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    found = server.git.files(server.commit_of(given.query.get("at", server.git.default)))
    return server.page(given, [*sorted(found), *server.extra_paths], server.file_cap)


def raw(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    content = server.git.content(server.commit_of(given.query["at"]), parts["path"])
    if content is None:
        raise _no_path(parts["path"], given.query["at"])
    return Found(raw=content, kind="text/plain;charset=UTF-8")


def browse(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    commit, path = server.commit_of(given.query["at"]), parts["path"]
    found = server.git.files(commit)
    if path not in found and not any(_is_below(each, path) for each in found):
        raise _no_path(path, given.query["at"])
    if given.query.get("type") == "true":
        mode = found[path].mode if path in found else None
        return Found({"type": "DIRECTORY" if mode is None else "SUBMODULE" if mode == SUBMODULE else "FILE"})
    content = server.git.content(commit, path)
    if given.query.get("size") == "true" and content is not None:
        return Found({"size": len(content)})
    raise Misused("browse gives lines, which nobody may build a file from; for a folder it has no size")


def edit(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    if given.asked.headers.get("x-atlassian-token") != "no-check":
        raise Denied(403, "XSRF check failed", "xsrf.XsrfCheckFailedException")
    form = read_form(given, {"content", "branch"}, {"message", "sourceCommitId", "sourceBranch"})
    branch, path, base = form["branch"].decode(), parts["path"], form.get("sourceCommitId", b"").decode()
    caller = server.writes(given, branch)
    if not caller.is_person or not caller.mail:
        raise Denied(403, "A commit needs an author with an e-mail address.", "AuthorisationException")
    if server.vetoes:
        raise Denied(
            409, "The edit was rejected by a hook.", "hook.repository.RepositoryHookVetoedException",
            {"details": list(server.vetoes)},
        )  # fmt: skip
    if server.git.refs("heads"):
        tip = _edited_tip(server, branch, form.get("sourceBranch", b"").decode())
        there = server.git.content(tip, path)
        _check_edit(server, path, tip, base=base, there=there, content=form["content"])
    elif base:
        raise Denied(404, f"Commit '{base}' does not exist.", "commit.NoSuchCommitException")
    message = form.get("message", b"").decode() or f"{path} edited online with Bitbucket"
    author = f"{caller.name.title()} <{caller.mail}>"
    return Found(
        server.commit_json(server.git.commit(branch, {path: form["content"]}, message, author=author))
    )


def commits(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    until = server.commit_of(given.query.get("until", server.git.default))
    path = given.query.get("path")
    since = given.query.get("since")
    walker = server.git.repo.get_walker(
        [ObjectID(until.encode())],
        exclude=[ObjectID(server.commit_of(since).encode())] if since else None,
        paths=[path.encode()] if path else None,
    )
    return server.page(given, [server.commit_json(each.commit.id.decode()) for each in walker])


def commit(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    id_ = parts["commit"]
    if not re.fullmatch("[0-9a-f]{7,40}", id_):
        raise Denied(400, "A commit is given for by its hash.", "ArgumentValidationException")
    return Found(server.commit_json(server.commit_of(id_)))


def archive(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    commit_id = server.commit_of(given.query["at"])
    path = given.query["path"]
    leaf, content = server.git.files(commit_id).get(path), server.git.content(commit_id, path)
    if leaf is None or content is None:
        raise _no_path(path, given.query["at"])
    return Found(raw=_tar(path, leaf.mode, content), kind="application/x-tar")


def pull_create(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    ref = {"id": str, "repository": dict}
    body = read_json(
        given,
        {"title": str, "fromRef": ref, "toRef": ref},
        {"description": str, "reviewers": list, "draft": bool},
    )
    server.reads(given)
    source, target = _pull_branch(server, body["fromRef"]), _pull_branch(server, body["toRef"])
    _check_pull(server, source, target, body.get("reviewers", []))
    id_ = len(server.pulls) + 1
    server.pulls.append(
        {
            "id": id_,
            "version": 0,
            "title": body["title"],
            "description": body.get("description", ""),
            "state": "OPEN",
            "open": True,
            "closed": False,
            "fromRef": {"id": f"refs/heads/{source}", "displayId": source},
            "toRef": {"id": f"refs/heads/{target}", "displayId": target},
            "reviewers": body.get("reviewers", []),
            "links": {"self": [{"href": f"{server.url}/projects/{server.project}/pull-requests/{id_}"}]},
        }
    )  # fmt: skip
    return Found(server.pulls[-1], status=201)


def pulls(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    side = "fromRef" if given.query.get("direction", "INCOMING") == "OUTGOING" else "toRef"
    state, at = given.query.get("state", "OPEN"), given.query.get("at")
    found = [each for each in server.pulls if state in ("ALL", each["state"])]
    return server.page(given, [each for each in found if at in (None, each[side]["id"])])


def pull(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    return Found(_pull(server, parts["id"]))


def pull_merge(server: "DataCenter", given: Given, parts: Mapping[str, str]) -> Found:
    server.reads(given)
    if _pull(server, parts["id"])["state"] != "OPEN":
        raise Denied(409, "The pull request is not open.", "pull.IllegalPullRequestStateException")
    if server.conflict == "broken":
        raise Denied(500, "The merge could not be computed.", "scm.CommandFailedException")
    outcome = {True: "CONFLICTED", False: "CLEAN", None: "UNKNOWN"}[server.conflict]
    veto = {"summaryMessage": "Not enough approvals", "detailedMessage": "2 are needed"}
    return Found(
        {"canMerge": False, "conflicted": server.conflict is True, "outcome": outcome, "vetoes": [veto]}
    )


_REST = r"/rest/api/(?:latest|1\.0)"
_R = _REST + REPOSITORY
_PAGE = {"start": "number", "limit": "number"}
_REFS = _PAGE | {"filterText": "text", "orderBy": "ALPHABETICAL|MODIFICATION", "boostMatches": "bool"}
ROUTES: list[tuple[str, str, dict[str, str], Answering, bool]] = [
    ("GET", rf"{_REST}/application-properties", {}, properties, True),
    (
        "GET",
        rf"{_REST}/repos",
        _PAGE | {"name": "text", "permission": "REPO_READ|REPO_WRITE"},
        repositories,
        False,
    ),
    ("GET", rf"{_REST}/users", _PAGE | {"filter": "text"}, people, False),
    ("GET", _R, {}, repository, False),
    ("GET", rf"{_R}/default-branch", {}, default_branch, False),
    ("GET", rf"{_R}/branches", _REFS | {"details": "bool", "base": "text"}, branches, False),
    ("POST", rf"{_R}/branches", {}, branch_create, False),
    ("GET", rf"{_R}/tags", _REFS, tags, False),
    ("DELETE", rf"/rest/branch-utils/(?:latest|1\.0){REPOSITORY}/branches", {}, branch_delete, False),
    ("GET", rf"{_R}/files", _PAGE | {"at": "text"}, files, False),
    ("GET", rf"{_R}/raw/(?P<path>.+)", {"at": "text"}, raw, False),
    ("GET", rf"{_R}/browse/(?P<path>.+)", {"at": "text", "size": "bool", "type": "bool"}, browse, False),
    ("PUT", rf"{_R}/browse/(?P<path>.+)", {}, edit, False),
    ("GET", rf"{_R}/commits", _PAGE | {"until": "text", "since": "text", "path": "text"}, commits, False),
    ("GET", rf"{_R}/commits/(?P<commit>[^/]+)", {"path": "text"}, commit, False),
    ("GET", rf"{_R}/archive", {"at": "text", "path": "text", "format": "tar"}, archive, False),
    (
        "GET",
        rf"{_R}/pull-requests",
        _PAGE | {"at": "text", "direction": "INCOMING|OUTGOING", "state": "OPEN|ALL|MERGED|DECLINED"},
        pulls,
        False,
    ),
    ("POST", rf"{_R}/pull-requests", {}, pull_create, False),
    ("GET", rf"{_R}/pull-requests/(?P<id>[0-9]+)", {}, pull, False),
    ("GET", rf"{_R}/pull-requests/(?P<id>[0-9]+)/merge", {}, pull_merge, False),
]


def _edited_tip(server: "DataCenter", branch: str, source: str) -> str:
    """Return the tip that an edit goes onto; a branch that is not there begins at the source branch."""
    tip = server.git.tip(branch)
    if tip is None and source and (tip := server.git.tip(source)):
        server.git.point(branch, tip)
    if tip is None:
        raise Denied(404, f"Branch '{branch}' does not exist.", "repository.NoSuchBranchException")
    return tip


def _check_edit(
    server: "DataCenter", path: str, tip: str, *, base: str, there: bytes | None, content: bytes
) -> None:
    if not base and there is not None:
        raise Denied(409, f"'{path}' exists already.", "content.FileAlreadyExistsException")
    if base and there is None:
        raise _no_path(path, tip)
    if base and server.git.content(server.commit_of(base), path) != there:
        raise Denied(409, "The file has changed since then.", "content.FileOutOfDateException")
    if there == content:
        raise Denied(
            409, "The content is the same. No change was committed.", "content.FileContentUnmodifiedException"
        )
    if any(_is_below(path, each) or _is_below(each, path) for each in server.git.files(tip)):
        raise Denied(409, f"'{path}' clashes with a file or a folder.", "content.EditFileFailedException")


def _check_pull(server: "DataCenter", source: str, target: str, reviewers: list[Any]) -> None:
    for given in reviewers:
        if set(given) != {"user"} or set(given["user"]) != {"name"}:
            raise Misused("a reviewer that is not {user: {name}}")
    unknown = [each["user"]["name"] for each in reviewers if each["user"]["name"] not in server.reviewers]
    if unknown:
        raise Denied(
            409,
            "Errors encountered while adding some reviewers to this pull request.",
            "pull.InvalidPullRequestReviewersException",
            {"reviewerErrors": [{"context": each, "message": f"{each} is not a user."} for each in unknown]},
        )
    if server.is_archived:
        raise Denied(
            409, "The repository is archived and read-only.", "repository.RepositoryArchivedException"
        )
    for each in server.pulls:
        pair = each["fromRef"]["displayId"], each["toRef"]["displayId"]
        if each["state"] == "OPEN" and pair == (source, target):
            raise Denied(
                409,
                "Only one pull request may be open for a given source and target branch",
                "pull.DuplicatePullRequestException",
                {"existingPullRequest": each},
            )
    tip = server.git.tip(source)
    assert tip
    target_tip = server.git.tip(target) or ""
    if any(
        each.commit.id.decode() == tip for each in server.git.repo.get_walker([ObjectID(target_tip.encode())])
    ):
        raise Denied(409, "There is nothing to merge.", "pull.EmptyPullRequestException")


def _pull_branch(server: "DataCenter", ref: Mapping[str, Any]) -> str:
    if ref["repository"] != {"slug": server.slug, "project": {"key": server.project}}:
        raise Misused("a pull request of another repository")
    name = str(ref["id"]).removeprefix("refs/heads/")
    if name == ref["id"]:
        raise Misused("a pull request from what is not refs/heads/…")
    if server.git.tip(name) is None:
        raise Denied(404, f"Branch '{name}' does not exist.", "repository.NoSuchBranchException")
    return name


def _pull(server: "DataCenter", id_: str) -> dict[str, Any]:
    for each in server.pulls:
        if str(each["id"]) == id_:
            return each
    raise Denied(404, f"Pull request {id_} does not exist.", "pull.NoSuchPullRequestException")


def _filtered(server: "DataCenter", given: Given, kind: str) -> Iterator[tuple[str, str]]:
    found, text = server.git.refs(kind), given.query.get("filterText", "").lower()
    if "boostMatches" in given.query and not text:
        raise Misused("boostMatches without filterText")

    def age(item: tuple[str, str]) -> tuple[int, str]:
        made = server.git.commit_object(item[1])
        return (-made.commit_time if made else 0), item[0]

    by_age = given.query.get("orderBy") == "MODIFICATION"
    rows = sorted((each for each in found.items() if text in each[0].lower()), key=age if by_age else None)
    if given.query.get("boostMatches") == "true":
        rows.sort(key=lambda item: (item[0].lower() != text, not item[0].lower().startswith(text)))
    yield from rows


def _branch(server: "DataCenter", name: str, tip: str) -> dict[str, Any]:
    return {
        "id": f"refs/heads/{name}",
        "displayId": name,
        "type": "BRANCH",
        "latestCommit": tip,
        "latestChangeset": tip,
        "isDefault": name == server.git.default,
    }


def _repository(server: "DataCenter") -> dict[str, Any]:
    return {
        "slug": server.slug,
        "id": 1,
        "name": server.slug.title(),
        "state": "AVAILABLE",
        "scmId": "git",
        "archived": server.is_archived,
        "project": {"key": server.project, "id": 1, "name": "Operations", "type": "NORMAL"},
    }


def _person(caller: Caller) -> dict[str, Any]:
    mail = {"emailAddress": caller.mail} if caller.mail else {}
    return {"name": caller.name, "slug": caller.name, "active": True, "type": "NORMAL"} | mail


def _no_path(path: str, at: str) -> Denied:
    return Denied(404, f'The path "{path}" does not exist at revision "{at}"', "content.NoSuchPathException")


def _tar(path: str, mode: int, content: bytes) -> bytes:
    """Return what ``git archive`` makes of one path: the folders above it too."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in reversed(PurePosixPath(path).parents[:-1]):
            entry = tarfile.TarInfo(f"{folder}/")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o775
            archive.addfile(entry)
        entry = tarfile.TarInfo(path)
        entry.mode = mode & 0o777
        if mode == LINK:
            entry.type, entry.linkname = tarfile.SYMTYPE, content.decode()
        else:
            entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")
