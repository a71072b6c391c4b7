"""Pull requests at Bitbucket Cloud."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from quarterdeck.core.errors import Invalid
from quarterdeck.files.places import cloud_answers as answers
from quarterdeck.files.places.answers import Answer
from quarterdeck.files.places.cloud_query import only, quoted
from quarterdeck.files.places.cloud_scopes import Scopes
from quarterdeck.files.places.http import Call, Client
from quarterdeck.files.places.place import (
    Missing,
    PlaceError,
    Proposal,
    ProposalDraft,
    ProposalState,
    Unanswered,
    Unchanged,
)

_ACCOUNT: Final = re.compile(r"\{[0-9a-fA-F-]{32,40}\}\Z")
_NUMBER: Final = re.compile(r"[0-9]{1,18}\Z")
_REFUSED_INPUT: Final = frozenset({400, 409})
_FIELDS: Final = ("id", "title", "state", "links.html.href")


class Proposals:
    """Pull requests within one repository; ``tip_of`` asks for the tip of a branch."""

    def __init__(
        self,
        client: Client,
        root: tuple[str, ...],
        scopes: Scopes,
        *,
        tip_of: Callable[[str], str],
        web_base: str,
    ) -> None:
        self._client, self._root, self._scopes = client, root, scopes
        self._tip_of, self._web_base = tip_of, web_base

    def open(self, draft: ProposalDraft) -> Proposal:
        """Open one, or return the open one of the same branches."""
        if not all(_ACCOUNT.match(reviewer) for reviewer in draft.reviewers):
            raise Invalid({"reviewers": "Give Bitbucket accounts by their UUID in braces, such as {1a2b…}."})
        found = self._open_already(draft)
        if found is not None:
            return found
        accepts = frozenset({200, 201}) | _REFUSED_INPUT
        try:
            answer = self._ask(method="POST", json=_body(draft), needs=self._scopes.propose, accepts=accepts)
        except Unanswered as error:
            found = self._open_already(draft) if error.extra.get("is_unsure") else None
            if found is None:
                raise
            return found
        if answer.status in _REFUSED_INPUT:
            raise self._not_opened(draft, answer)
        return self._proposal(answer.json_object())

    def get(self, id_: str) -> Proposal:
        """Return where one stands; raises Missing."""
        if not _NUMBER.match(id_):
            raise Missing("There is no such pull request.")
        answer = self._ask(
            id_,
            query=(only(*_FIELDS),),
            what=f"The pull request {id_}",
            needs=self._scopes.see_proposals,
        )
        found = self._proposal(answer.json_object())
        if found.state is not ProposalState.OPEN:
            return found
        return replace(found, is_conflicted=self._is_conflicted(id_))

    def _open_already(self, draft: ProposalDraft) -> Proposal | None:
        """Return the open one of the same pair, so that a second try doesn't change its words."""
        q = (
            f"source.branch.name = {quoted(draft.source)} AND "
            f'destination.branch.name = {quoted(draft.target)} AND state = "OPEN"'
        )
        names = (*_FIELDS, "source.branch.name", "destination.branch.name")
        fields = only(*(f"values.{name}" for name in names))
        query = (("state", "OPEN"), ("q", q), ("pagelen", "10"), fields)
        for value in answers.values_of(self._ask(query=query, needs=self._scopes.propose).json_object()):
            ends = (
                answers.text_of(value, "source", "branch", "name"),
                answers.text_of(value, "destination", "branch", "name"),
            )
            if ends == (draft.source, draft.target) and value.get("state") == "OPEN":
                return self._proposal(value)
        return None

    def _not_opened(self, draft: ProposalDraft, answer: Answer) -> PlaceError:
        """Find out what a refused pull request is for; Bitbucket's words are not to decide by."""
        if self._tip_of(draft.source) == self._tip_of(draft.target):
            return Unchanged("There is nothing to merge: both branches are at the same commit.")
        return self._client.error(answer, what="The pull request")

    def _is_conflicted(self, id_: str) -> bool | None:
        """The call is young, and missing here and there: any failure of it means "unknown"."""
        try:
            return bool(answers.values_of(self._ask(id_, "conflicts", follows=True).json_object()))
        except PlaceError:
            return None

    def _proposal(self, value: answers.Json) -> Proposal:
        return answers.proposal_of(value, web_base=self._web_base)

    def _ask(
        self, *segments: str, needs: str = "", what: str = "The repository", **more: Any
    ) -> Answer:  # Any: members of a call
        path = (*self._root, "pullrequests", *segments)
        return self._client.call(Call(segments=path, needs=needs or self._scopes.read, what=what, **more))


def _body(draft: ProposalDraft) -> dict[str, object]:
    body: dict[str, object] = {
        "type": "pullrequest",
        "title": draft.title,
        "source": {"branch": {"name": draft.source}},
        "destination": {"branch": {"name": draft.target}},
        "close_source_branch": draft.close_source,
    }
    if draft.description:
        body["description"] = draft.description
    if draft.reviewers:
        body["reviewers"] = [{"uuid": uuid} for uuid in draft.reviewers]
    return body
