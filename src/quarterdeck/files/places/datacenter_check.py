"""What "Test" tries at a Bitbucket Data Center: one thing after the other, until one is not right."""

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import unquote

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.files.places.answers import Answer, clean
from quarterdeck.files.places.datacenter_calls import READ, WRITE, RepositoryCalls, member, no_api
from quarterdeck.files.places.place import Check, Refused, Unanswered

_FEW: Final = 100
_MOST_FOLLOWED: Final = 10


def checks(
    calls: RepositoryCalls,
    *,
    default_branch: Callable[[], str],
    tip: Callable[[str], str],
    for_writing: bool,
) -> list[Check]:
    """Return what was tried; the last one is not ok when something is wrong. Raises nothing."""
    found: list[Check] = []
    trial = _Trial(calls, default_branch, tip)
    steps: list[tuple[str, Callable[[], str]]] = [
        ("address", trial.address),
        ("credential", trial.credential),
        ("repository", trial.repository),
        ("branch", trial.branch),
        ("read", trial.read),
    ]
    for name, step in [*steps, ("write", trial.write)] if for_writing else steps:
        try:
            found.append(Check(name, True, step()))
        except QuarterdeckError as error:
            return [*found, Check(name, False, error.message)]
    return found


class _Trial:
    """The steps; each uses what the ones before it found out."""

    def __init__(
        self, calls: RepositoryCalls, default_branch: Callable[[], str], tip: Callable[[str], str]
    ) -> None:
        self._calls = calls
        self._default_branch = default_branch
        self._tip = tip
        self._answer = Answer(0, {}, b"")
        self._person = ""
        self._repository: dict[str, Any] = {}
        self._commit = ""

    def address(self) -> str:
        host = self._calls.client.host
        answer = self._calls.ask_server("application-properties")
        if answer.status in (401, 403):  # something answers in Bitbucket's manner; the next step says why
            return f"{host} answers."
        if answer.status != 200 or answer.media_type != "application/json":
            raise Unanswered(no_api(host))
        version = clean(answer.json_object().get("version"), 30)
        if not version:
            raise Unanswered(no_api(host))
        return f"Bitbucket {version} answers at {host}."

    def credential(self) -> str:
        self._answer = self._calls.ask_server(*self._calls.segments)
        person = unquote(self._answer.headers.get("x-ausername", ""))
        self._person = "" if person == "anonymous" else clean(person, 200)
        if self._answer.status in (401, 403):
            refusal = self._calls.refusal(self._answer, READ)
            if not self._person:
                raise refusal
        if not self._person:
            return "Nobody is signed in: the place has no token, or Bitbucket does not name the account."
        return f"The token is good; its account is {self._person}."

    def repository(self) -> str:
        answer = self._calls.good(self._answer, needs=READ)
        self._repository = answer.json_object()
        archived = " It is archived." if self._repository.get("archived") is True else ""
        return f"{self._calls.name} is there.{archived}"

    def branch(self) -> str:
        name = self._default_branch()
        self._commit = self._tip(name)
        return f"The default branch is {clean(name, 100)}, at {self._commit[:12]}."

    def read(self) -> str:
        self._calls.ask("files", query=[("at", self._commit), ("limit", "1")])
        return "Files can be listed and read."

    def write(self) -> str:
        if self._repository.get("archived") is True:
            raise Refused(
                "The repository is archived: nothing can be committed until an administrator restores it."
            )
        may_write = self._may_write()
        if may_write is False:
            raise Refused(f"The token may read, but lacks {WRITE}.", needs=WRITE)
        account = self._account()
        if account is None:
            raise Refused(
                f"The account {self._person or 'of the token'} is no person's: it is a project's or a "
                "repository's token, which can create branches but can't commit. Store a personal token of "
                "an account with an e-mail address and write permission.",
                needs="a personal token",
            )
        if not account.get("emailAddress") and account:
            raise Refused(
                f"The account {self._person} has no e-mail address, and Bitbucket commits for none without.",
                needs="an e-mail address",
            )
        if may_write is None or not account:
            return "Whether files can be committed could not be found out without committing one."
        return f"{self._person} may commit. Branches may have rules of their own."

    def _may_write(self) -> bool | None:
        """Say whether the repository is among those that the token may write to; None when unknown."""
        name = self._repository.get("name")
        query = [("permission", "REPO_WRITE"), *([("name", name)] if isinstance(name, str) and name else [])]
        values = self._listed("repos", query)
        if values is None:
            return None
        wanted = self._key(self._repository)
        return any(self._key(value) == wanted for value in values)

    def _key(self, repository: object) -> tuple[object, object]:
        return member(repository, "project", "key"), member(repository, "slug")

    def _account(self) -> dict[str, Any] | None:
        """Return the person that the token is of: None when there is no such person, empty when unknown."""
        if not self._person:
            return {}
        values = self._listed("users", [("filter", self._person)])
        if values is None:
            return {}
        return next((each for each in values if _is_named(each, self._person)), None)

    def _listed(self, what: str, query: list[tuple[str, str]]) -> list[Any] | None:
        """Return the values of a short list of the server's; None when it does not tell."""
        found: list[Any] = []
        for values in self._pages(what, query):
            if values is None:
                return None
            found += values
        return found

    def _pages(self, what: str, query: list[tuple[str, str]]) -> Iterator[list[Any] | None]:
        start: object = 0
        for _ in range(_MOST_FOLLOWED):
            page = [("start", str(start)), ("limit", str(_FEW))]
            answer = self._calls.ask_server(what, query=[*query, *page])
            body = answer.json_object() if answer.status == 200 else {}
            values, start = body.get("values"), body.get("nextPageStart")
            yield values if isinstance(values, list) else None
            if body.get("isLastPage") is not False or not isinstance(start, int):
                return


def _is_named(person: object, name: str) -> bool:
    found = member(person, "name")
    return isinstance(found, str) and found.lower() == name.lower()
