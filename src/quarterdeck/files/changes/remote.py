"""Changes over the API of a master, for the commands."""

import base64
from typing import Final

from quarterdeck.core.actors import Actor
from quarterdeck.core.api_client import ApiClient, Json, step
from quarterdeck.files.changes.beginning import Begun
from quarterdeck.files.changes.committing import CommitWish
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.proposing import ProposalWish
from quarterdeck.files.changes.records import ChangeFile, ChangeRecord
from quarterdeck.files.changes.store import ChangePage, ChangeQuery

_STEP_SECONDS: Final = 300.0
"""A step makes several calls to a repository that may be slow to answer each."""
_Found = list[Json]
_UNTOLD: Final[Json] = {"place_id": "", "pending": "", "former_branch": "", "former_tip": "", "person_id": ""}
"""What stays on the master."""


class RemoteChanges:
    """A ``ChangeBook``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def list(self, _actor: Actor, query: ChangeQuery) -> ChangePage:
        asked = {"state": ",".join(query.states) or "all", "person": query.person, "place": query.place}
        given = {name: value for name, value in asked.items() if value}
        answer = self._client.get("/api/v1/changes", **given, limit=query.limit)
        found = self._client.read(_Found, self._client.part(answer, "changes"))
        return ChangePage(tuple(self._record(each) for each in found))

    def patch(self, _actor: Actor, change_id: str) -> str:
        return self._client.content(f"{_path(change_id)}/patch").decode()

    def begin(self, _actor: Actor, place_name: str, wanted: Wanted) -> Begun:
        body = {
            "place": place_name,
            "path": wanted.path,
            "action": wanted.action.value,
            "new_path": wanted.new_path,
            "target": wanted.target,
        }
        answer = self._client.send("POST", "/api/v1/changes", body, seconds=_STEP_SECONDS)
        return Begun(self._record(answer), wanted.path)

    def save_file(self, _actor: Actor, change_id: str, path: str, content: bytes) -> ChangeFile:
        body = {"content_base64": base64.b64encode(content).decode()}
        answer = self._client.send("PUT", f"{_path(change_id)}/drafts", body, params={"path": path})
        return self._client.read(ChangeFile, answer)

    def commit(self, _actor: Actor, change_id: str, wish: CommitWish) -> ChangeRecord:
        body = {"message": wish.message, "despite_target": wish.despite_target}
        return self._step(change_id, "commit", body)

    def propose(self, _actor: Actor, change_id: str, wish: ProposalWish) -> ChangeRecord:
        body = {
            "title": wish.title,
            "description": wish.description,
            "reviewers": list(wish.reviewers),
            "close_source": wish.close_source,
        }
        return self._step(change_id, "propose", body)

    def merge(self, _actor: Actor, change_id: str) -> ChangeRecord:
        return self._step(change_id, "merge")

    def discard(self, _actor: Actor, change_id: str) -> ChangeRecord:
        return self._step(change_id, "discard")

    def _step(self, change_id: str, verb: str, body: Json | None = None) -> ChangeRecord:
        path = f"{_path(change_id)}/{verb}"
        return self._record(self._client.send("POST", path, body, seconds=_STEP_SECONDS))

    def _record(self, answer: Json) -> ChangeRecord:
        return self._client.read(ChangeRecord, answer | _UNTOLD)


def _path(change_id: str) -> str:
    return f"/api/v1/changes/{step(change_id)}"
