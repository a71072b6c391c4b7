"""Pull requests at a Bitbucket Data Center."""

from collections.abc import Callable
from typing import Any, Final

from quarterdeck.files.places.answers import Answer, clean
from quarterdeck.files.places.datacenter_calls import RepositoryCalls, member, said
from quarterdeck.files.places.place import (
    Exists,
    Missing,
    PlaceError,
    Proposal,
    ProposalDraft,
    ProposalState,
    Refused,
    Unanswered,
    Unchanged,
)

_LONGEST_TITLE: Final = 255
_LONGEST_NUMBER: Final = 18
_FEW: Final = 100
_STATES: Final = {
    "OPEN": ProposalState.OPEN,
    "MERGED": ProposalState.MERGED,
    "DECLINED": ProposalState.DECLINED,
}


class Proposals:
    """Pull requests within one repository; ``page_of`` makes the address of one's page from its number."""

    def __init__(self, calls: RepositoryCalls, page_of: Callable[[str], str]) -> None:
        self._calls = calls
        self._page_of = page_of

    def open(self, draft: ProposalDraft) -> Proposal:
        """Open one, or return the open one of the same branches.

        There is no telling here that the branch be removed afterwards: who merges decides.
        """
        try:
            answer = self._calls.send("POST", "pull-requests", json=self._body(draft))
        except Unanswered as error:
            found = self._open_already(draft) if error.extra.get("is_unsure") else None
            if found is None:
                raise
            return found
        if answer.status == 409:
            return self._conflict(draft, answer)
        return self._proposal(self._calls.good(answer, what="One of the two branches").json_object())

    def get(self, id_: str) -> Proposal:
        """Return where one stands; raises Missing."""
        what = f"The pull request {clean(id_, 20)}"
        if not (id_.isascii() and id_.isdigit()) or len(id_) > _LONGEST_NUMBER:
            raise Missing(f"{what} is not there.")
        body = self._calls.ask("pull-requests", id_, what=what).json_object()
        is_open = body.get("state") == "OPEN"
        return self._proposal(body, self._is_conflicted(id_) if is_open else None)

    def _body(self, draft: ProposalDraft) -> dict[str, Any]:
        repository = {"slug": self._calls.repository, "project": {"key": self._calls.project}}
        body: dict[str, Any] = {
            "title": clean(draft.title, _LONGEST_TITLE),
            "description": draft.description,
            "fromRef": {"id": f"refs/heads/{draft.source}", "repository": repository},
            "toRef": {"id": f"refs/heads/{draft.target}", "repository": repository},
        }
        if draft.reviewers:
            body["reviewers"] = [{"user": {"name": name}} for name in draft.reviewers]
        return body

    def _conflict(self, draft: ProposalDraft, answer: Answer) -> Proposal:
        """Return the pull request that is open already; raises what any other conflict is."""
        problem = self._calls.problem(answer)
        if problem.name == "EmptyPullRequestException":
            raise Unchanged(f"“{clean(draft.target, 100)}” holds all that this branch would bring already.")
        if problem.name == "InvalidPullRequestReviewersException":
            names = clean(", ".join(draft.reviewers))
            raise Missing(
                f"Bitbucket does not take all of these as reviewers: {names}. Give their user names there; "
                "nothing was opened."
            )
        if problem.name != "DuplicatePullRequestException":
            raise Refused(f"Bitbucket does not open the pull request.{said(problem)}")
        found = self._open_already(draft)
        if found is None:
            raise Exists(f"A pull request of this branch is open already.{said(problem)}")
        return found

    def _open_already(self, draft: ProposalDraft) -> Proposal | None:
        query = [("direction", "OUTGOING"), ("at", f"refs/heads/{draft.source}"), ("state", "OPEN")]
        for value in self._calls.values("pull-requests", query=query, page=_FEW):
            if member(value, "toRef", "id") == f"refs/heads/{draft.target}":
                return self._proposal(value)
        return None

    def _is_conflicted(self, id_: str) -> bool | None:
        try:
            body = self._calls.ask("pull-requests", id_, "merge").json_object()
        except PlaceError:  # computing a merge may fail or take too long; the rest is known all the same
            return None
        is_known = body.get("outcome") in ("CLEAN", "CONFLICTED")
        return body.get("conflicted") is True if is_known else None

    def _proposal(self, body: dict[str, Any], is_conflicted: bool | None = None) -> Proposal:
        number, state = body.get("id"), body.get("state")
        if not isinstance(number, int) or not isinstance(state, str) or state not in _STATES:
            raise Unanswered("Bitbucket described a pull request in a form that is not known here.")
        title = clean(body.get("title"), _LONGEST_TITLE)
        return Proposal(str(number), self._page_of(str(number)), _STATES[state], title, is_conflicted)
