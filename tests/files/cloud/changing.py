"""Branches and commits of the Cloud stand-in."""

import re
from typing import TYPE_CHECKING

from tests.files.cloud.answering import Denied, Given, answer_json
from tests.files.cloud.requests import Misused
from tests.files.git_repository import EXECUTABLE, FILE
from tests.files.loopback import Result

if TYPE_CHECKING:
    from tests.files.cloud.server import CloudServer

BRANCH_NAME = re.compile(r"(?!/)[A-Za-z0-9._/-]+(?<!/)(?<!\.lock)")


def create_branch(server: "CloudServer", given: Given) -> Result:
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
    return answer_json({"type": "branch", "name": name, "target": server.commit_json(commit)}, given, 201)


def delete_branch(server: "CloudServer", given: Given) -> Result:
    name = given.parts["name"]
    if server.git.tip(name) is None:
        raise Denied(404, f"Branch {name} does not exist")
    if name == server.git.default:
        raise Denied(400, "The main branch can't be deleted")
    server.git.point(name, None)
    return Result(204)


def create_commit(server: "CloudServer", given: Given) -> Result:
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
    server: "CloudServer", given: Given, deleted: list[str], parent: str
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


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")
