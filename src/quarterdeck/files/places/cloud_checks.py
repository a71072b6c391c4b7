"""What "Test" tries at Bitbucket Cloud, in order, until something is not as it should be."""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.files.places.answers import clean
from quarterdeck.files.places.cloud_scopes import Scopes
from quarterdeck.files.places.http import Call, Client
from quarterdeck.files.places.place import Check, Missing, Refused

_NO_COMMIT: Final = "0" * 40
_PROBE_BRANCH: Final = "quarterdeck/check"


class Repository(Protocol):
    """What is asked of a place to test it."""

    def main_branch(self) -> str: ...

    def default_branch(self) -> str: ...

    def tip(self, branch: str) -> str: ...


def checks_of(
    repository: Repository, client: Client, root: tuple[str, ...], scopes: Scopes, *, for_writing: bool
) -> list[Check]:
    """Return what was tried; the last one may be not ok, all before it are."""
    checks: list[Check] = []
    for check in _Trial(repository, client, root, scopes).steps(for_writing=for_writing):
        checks.append(check)
        if not check.is_ok:
            break
    return checks


class _Trial:
    def __init__(self, repository: Repository, client: Client, root: tuple[str, ...], scopes: Scopes) -> None:
        self._repository = repository
        self._client = client
        self._root = root
        self._scopes = scopes
        self._tip = ""

    def steps(self, *, for_writing: bool) -> Iterator[Check]:
        yield from self._reach()
        yield self._try("branch", self._branch)
        yield self._try("read", self._read)
        if for_writing:
            yield self._try("write", self._write)

    def _reach(self) -> Iterator[Check]:
        """Tell three things apart by one call: an answer, to this token, about this repository."""
        fault: QuarterdeckError | None = None
        try:
            self._repository.main_branch()
        except QuarterdeckError as error:
            fault = error
        is_answer = fault is None or isinstance(fault, Refused | Missing)
        if not is_answer and fault is not None:
            yield Check("address", False, fault.message)
            return
        yield Check("address", True, f"{self._client.host} answers.")
        if isinstance(fault, Refused) and not fault.extra.get("needs"):
            yield Check("credential", False, fault.message)
            return
        accepted = "No token is given." if self._client.is_anonymous else "The token is accepted."
        yield Check("credential", True, accepted)
        if fault is not None:
            yield Check("repository", False, fault.message)
            return
        yield Check("repository", True, f"{clean('/'.join(self._root[1:]), 200)} is there.")

    def _try(self, name: str, step: Callable[[], str]) -> Check:
        try:
            return Check(name, True, step())
        except QuarterdeckError as error:
            return Check(name, False, error.message)

    def _branch(self) -> str:
        branch = self._repository.default_branch()
        self._tip = self._repository.tip(branch)
        return f"The branch “{clean(branch, 100)}” is at {self._tip[:12]}."

    def _read(self) -> str:
        query = (("max_depth", "1"), ("pagelen", "1"), ("fields", "values.path"))
        segments = (*self._root, "src", self._tip, "")
        self._client.call(Call(segments=segments, query=query, needs=self._scopes.read, what="The file list"))
        return "Files can be listed."

    def _write(self) -> str:
        """Ask for a branch at a commit that can't exist: who may not write is refused before that is seen."""
        self._client.call(
            Call(
                method="POST",
                segments=(*self._root, "refs", "branches"),
                json={"name": _PROBE_BRANCH, "target": {"hash": _NO_COMMIT}},
                accepts=frozenset({400, 404, 409}),
                needs=self._scopes.branch,
            )
        )
        query = (("state", "OPEN"), ("pagelen", "1"), ("fields", "values.id"))
        segments = (*self._root, "pullrequests")
        self._client.call(Call(segments=segments, query=query, needs=self._scopes.propose))
        return "Branches may be made, and pull requests seen. Whether one may be opened shows when it is."
