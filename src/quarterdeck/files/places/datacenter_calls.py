"""Calls to one repository of a Bitbucket Data Center: its addresses, its pages and its kinds of refusal."""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from quarterdeck.core.errors import TooLarge
from quarterdeck.files.places.answers import Answer, Problem, clean
from quarterdeck.files.places.http import Call, Client
from quarterdeck.files.places.multipart import Part
from quarterdeck.files.places.place import Missing, PlaceError, Refused, Unanswered

API: Final = ("rest", "api", "latest")
BRANCH_UTILS: Final = ("rest", "branch-utils", "latest")
READ: Final = "the permission to read the repository"
WRITE: Final = "the permission to write to the repository"
MOST_VALUES: Final = 1_000_000
_MOST_PAGES: Final = 2000
_MOST_LISTING_BYTES: Final = 64 * 1024 * 1024
_JUDGED: Final = frozenset({200, 201, 204, 400, 401, 403, 404, 409})
_HASH: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_NO_RIGHT: Final = frozenset({"AuthorisationException", "NoAccessAuthenticationException"})
"""A person who is known, answered with 401 all the same: signing in anew would not help."""
_NO_REPOSITORY: Final = frozenset({"NoSuchProjectException", "NoSuchRepositoryException"})

log = logging.getLogger(__name__)

Query = Sequence[tuple[str, str]]


class RepositoryCalls:
    """What every call to a repository shares; segments are below the repository's own address."""

    def __init__(self, client: Client, project: str, repository: str) -> None:
        self.client = client
        self.project = project
        self.repository = repository
        self.segments = ("projects", project, "repos", repository)

    @property
    def name(self) -> str:
        return clean(f"{self.project}/{self.repository}", 200)

    def ask(
        self,
        *segments: str,
        query: Query = (),
        what: str = "The repository",
        most_bytes: int | None = None,
        is_listing: bool = False,
    ) -> Answer:
        """GET something of the repository; raises the error that any status but 2xx stands for."""
        call = Call(
            segments=(*API, *self.segments, *segments),
            query=query,
            accepts=_JUDGED,
            most_bytes=most_bytes,
            is_listing=is_listing,
        )
        return self.good(self._called(call), what=what, needs=READ)

    def ask_server(self, *segments: str, query: Query = ()) -> Answer:
        """GET something that is not the repository's, and return the answer whatever its status says."""
        return self._called(Call(segments=(*API, *segments), query=query, accepts=_JUDGED))

    def send(
        self,
        method: str,
        *segments: str,
        json: dict[str, Any] | None = None,
        parts: Sequence[Part] | None = None,
        api: tuple[str, ...] = API,
    ) -> Answer:
        """Change something, and return the answer with its status still to be judged."""
        return self._called(
            Call(
                method=method,
                segments=(*api, *self.segments, *segments),
                json=json,
                parts=parts,
                accepts=_JUDGED,
                headers={"X-Atlassian-Token": "no-check"},
            )
        )

    def values(
        self, *segments: str, query: Query = (), page: int, what: str = "The repository"
    ) -> Iterator[Any]:
        """Yield what a list holds, page by page; the server may cut pages to less than is asked for."""
        start = seen = 0
        for _ in range(_MOST_PAGES):
            part = [("start", str(start)), ("limit", str(page))]
            body = self._page((*segments,), [*query, *part], what)
            values, start = body.get("values"), _next_start(body, start)
            if not isinstance(values, list):
                raise Unanswered("Bitbucket answered with a list in a form that is not known here.")
            yield from values
            seen += len(values)
            if start < 0:
                return
            if seen > MOST_VALUES:
                break
        raise PlaceError(f"{what} has more than can be listed here.")

    def _called(self, call: Call) -> Answer:
        """Make a call, and log Bitbucket's own name of what went wrong."""
        answer = self.client.call(call)
        if answer.status >= 400:
            problem = self.problem(answer)
            log.info(
                "%s answered %s: %s (%s)", self.client.host, answer.status, problem.message, problem.name
            )
        return answer

    def _page(self, segments: tuple[str, ...], query: Query, what: str) -> dict[str, Any]:
        try:
            answer = self.ask(
                *segments, query=query, what=what, most_bytes=_MOST_LISTING_BYTES, is_listing=True
            )
        except TooLarge as error:
            raise PlaceError(f"{what} has more than can be listed here.") from error
        return answer.json_object()

    def good(self, answer: Answer, *, what: str = "The repository", needs: str = WRITE) -> Answer:
        """Return an answer of success; raises what another one stands for."""
        if answer.status < 400:
            return answer
        raise self.error(answer, what=what, needs=needs)

    def problem(self, answer: Answer) -> Problem:
        """Return why the server did not do it, without the credential."""
        return self.client.without_secrets(answer).problem()

    def error(self, answer: Answer, *, what: str = "The repository", needs: str = WRITE) -> PlaceError:
        """Return what a status from 400 on stands for, by Bitbucket's name of the exception."""
        problem = self.problem(answer)
        if answer.status in (401, 403):
            return self.refusal(answer, needs)
        if answer.status == 404:
            return self._absence(answer, problem, what)
        return PlaceError(f"Bitbucket did not do it (status {answer.status}).{said(problem)}")

    def refusal(self, answer: Answer, needs: str) -> Refused:
        """Return why a call was not allowed: the token itself, the account, or its permissions."""
        problem = self.problem(answer)
        if answer.status == 401 and problem.name not in _NO_RIGHT:
            return Refused(
                "Bitbucket does not accept the token: it is wrong, expired or revoked."
                f"{said(problem)} Store a new one at the place."
            )
        if problem.name == "NoAccessAuthenticationException":
            return Refused(f"The token's account has no licence to use Bitbucket.{said(problem)}")
        return Refused(f"The token is good, but lacks {needs}.{said(problem)}", needs=needs)

    def _absence(self, answer: Answer, problem: Problem, what: str) -> PlaceError:
        is_bitbucket = answer.media_type == "application/json" or "x-ausername" in answer.headers
        if not problem.name and not is_bitbucket:
            return Unanswered(no_api(self.client.host))
        if problem.name in _NO_REPOSITORY:
            return Missing(f"There is no repository {self.name}, or the token's account may not see it.")
        return Missing(f"{what} is not there.")


def no_api(host: str) -> str:
    """Say that something answers which is not the API."""
    return (
        f"{host} answers, but not as Bitbucket's API. If Bitbucket is below a path, such as "
        f"https://{host}/bitbucket, the address needs that path."
    )


def said(problem: Problem) -> str:
    """Return the server's own reason as a sentence to add; empty when it gave none."""
    return f" It says: “{problem.message}”." if problem.message else ""


def commit_id(value: object) -> str:
    """Return the full hash of a commit; raises Unanswered for anything else."""
    if isinstance(value, str) and _HASH.fullmatch(value):
        return value
    raise Unanswered("Bitbucket named a commit in a form that is not known here.")


def is_commit_id(text: str) -> bool:
    """Say whether a text is a full hash."""
    return _HASH.fullmatch(text) is not None


def member(value: object, *names: str) -> Any:  # Any: JSON
    """Return what is inside nested objects; None when one of them is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _next_start(body: dict[str, Any], start: int) -> int:
    """Return where the next page begins, -1 after the last one."""
    if body.get("isLastPage") is not False:
        return -1
    following = body.get("nextPageStart")
    if not isinstance(following, int) or following <= start:
        raise Unanswered("Bitbucket's list goes round in circles; the listing was given up.")
    return following
