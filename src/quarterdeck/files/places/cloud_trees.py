"""What is in a commit at Bitbucket Cloud: listed as a whole, or by what differs from an earlier one."""

from collections.abc import Callable
from typing import Any, Final

from quarterdeck.files.places.answers import Answer, clean
from quarterdeck.files.places.cloud_changes import ACCEPTED, MOST_CALLS, PAGE, find_changes
from quarterdeck.files.places.cloud_listing import TOO_DEEP, Walk
from quarterdeck.files.places.cloud_query import only
from quarterdeck.files.places.http import Call, Client
from quarterdeck.files.places.place import Entry, PathChanges, Unanswered

_LISTING_PAGE: Final = 100
_MOST_WALKS: Final = 4
_MOST_COSTS: Final = 1000


class CloudTrees:
    """Trees of one repository, and what is remembered to make the next listing cheap; ``needs`` a scope."""

    def __init__(self, client: Client, root: tuple[str, ...], needs: str) -> None:
        self._client, self._root, self._needs = client, root, needs
        self._walks: dict[str, Walk] = {}
        self._costs: dict[str, int] = {}
        """How many calls the listing of a commit took, or would take."""
        self._unanswered = ("", "")

    def list_files(self, commit: str) -> list[Entry]:
        """See ``Place``; what was read before a failure is kept for a while, and the next call goes on."""
        walk = self._walks.pop(commit, None) or Walk()
        try:
            found = walk.finish(lambda path, depth, link: self._page(commit, path, depth, link))
        except Exception:
            self._walks[commit] = walk
            _drop_oldest(self._walks, _MOST_WALKS)
            raise
        self._note_cost(commit, walk.calls)
        return found

    def changes_between(
        self, before: str, after: str, *, wanted: Callable[[str], bool]
    ) -> PathChanges | None:
        """See ``Place``; None where it takes as many calls as listing, or had no answer before."""
        cost = self._costs.get(before, MOST_CALLS + 1)
        most = min(MOST_CALLS, cost - 1)
        if most < 2 or after in self._walks or self._unanswered == (before, after):
            return None
        try:
            found = find_changes(
                lambda link: self._differences(before, after, link),
                lambda path: self.meta(after, path, accepts=ACCEPTED, is_listing=True),
                wanted=wanted,
                most_calls=most,
            )
        except Unanswered:
            self._unanswered = (before, after)
            raise
        if found is not None:
            self._note_cost(after, cost)
        return found

    def meta(self, commit: str, path: str, **more: Any) -> Answer:  # Any: members of a call
        """Ask what Bitbucket says about a path, a folder too."""
        query = (("format", "meta"), only("path", "type", "size", "attributes"))
        what = f"The file “{clean(path)}”"
        return self._ask("src", commit, *path.split("/"), query=query, what=what, **more)

    def _page(self, commit: str, path: str, depth: int, link: str) -> Answer:
        what, accepts = f"The commit {commit}", frozenset({200, TOO_DEEP})
        if link:
            return self._ask(link=link, what=what, accepts=accepts, is_listing=True)
        fields = only("values.path", "values.type", "values.size", "values.attributes", "next")
        query = (("max_depth", str(depth)), ("pagelen", str(_LISTING_PAGE)), fields)
        folder = (*path.split("/"), "") if path else ("",)  # the root is found with its slash only
        return self._ask("src", commit, *folder, query=query, what=what, accepts=accepts, is_listing=True)

    def _differences(self, before: str, after: str, link: str) -> Answer:
        """Ask for a page of what differs: Bitbucket wants the commit that holds the changes first."""
        if link:
            return self._ask(link=link, accepts=ACCEPTED, is_listing=True)
        fields = only("values.status", "values.old.path", "values.new.path", "next")
        query = (("topic", "false"), ("renames", "false"), ("pagelen", str(PAGE)), fields)
        return self._ask("diffstat", f"{after}..{before}", query=query, accepts=ACCEPTED, is_listing=True)

    def _note_cost(self, commit: str, calls: int) -> None:
        self._costs[commit] = calls
        _drop_oldest(self._costs, _MOST_COSTS)

    def _ask(self, *segments: str, what: str = "The repository", **more: Any) -> Answer:
        return self._client.call(
            Call(segments=(*self._root, *segments), needs=self._needs, what=what, **more)
        )


def _drop_oldest(kept: dict[str, Any], most: int) -> None:
    while len(kept) > most:
        kept.pop(next(iter(kept)), None)
