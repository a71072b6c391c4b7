"""Pull requests of the Cloud stand-in, and their conflicts."""

from typing import TYPE_CHECKING, Any

from tests.files.cloud.answering import Denied, Given, Json, answer_json, conditions_of
from tests.files.cloud.requests import Misused
from tests.files.loopback import Result

if TYPE_CHECKING:
    from tests.files.cloud.server import CloudServer

_ACCOUNT = "{504c3b62-8120-4f0c-a7bc-87800b9d6f70}"


def pulls(server: "CloudServer", given: Given) -> Result:
    conditions = conditions_of(given.query["q"]) if "q" in given.query else []
    found = [
        pull
        for pull in server.pulls
        if pull["state"] == given.query.get("state", "OPEN")
        and all(_inner(pull, name) == value for name, _, value in conditions)
    ]
    return server.page(given, found, most=50)


def open_pull(server: "CloudServer", given: Given) -> Result:
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
    return answer_json(server.pulls[-1], given, 201)


def _pull(server: "CloudServer", given: Given) -> Json:
    for pull in server.pulls:
        if str(pull["id"]) == given.parts["pull_request_id"]:
            return pull
    raise Denied(404, "No such pull request")


def one_pull(server: "CloudServer", given: Given) -> Result:
    return answer_json(_pull(server, given), given)


def conflicts(server: "CloudServer", given: Given) -> Result:
    pull = _pull(server, given)
    if server.conflicts is None:
        raise Denied(404, "Resource not found")
    ends = [server.git.tip(pull[end]["branch"]["name"]) or "" for end in ("source", "destination")]
    return Result(
        302, headers={"Location": f"{server.base}/file-conflicts/{'..'.join(end[:12] for end in ends)}"}
    )


def file_conflicts(server: "CloudServer", given: Given) -> Result:
    return server.page(given, server.conflicts or [], default=500, most=500)


def _inner(value: Any, names: str) -> Any:
    for name in names.split("."):
        value = value[name]
    return value
