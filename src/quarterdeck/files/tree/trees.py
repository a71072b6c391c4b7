"""What is in a place: commits of branches, asked for every few seconds at most, and listings, kept by commit.

A listing never changes, so it is kept without expiry, up to a weight. Where the place can say what differs,
the next commit's is derived from a kept one. Who asks for what is being fetched waits for that fetch instead
of beginning another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.files.models import PlaceRecord
from quarterdeck.files.paths import is_allowed
from quarterdeck.files.places.place import Entry, Missing, Place, PlaceError, Ref, Throttled, Unanswered
from quarterdeck.files.tree.deriving import MOST_STEPS, derived, listing_of
from quarterdeck.files.tree.flights import Flights
from quarterdeck.files.tree.fresh import MOST_ANSWERS, Answers
from quarterdeck.files.tree.kept import Kept
from quarterdeck.files.tree.listing import Listing

TIP_SECONDS: Final = 3.0
"""So long a branch's tip counts as just asked; the pages say how old it is."""
REFS_SECONDS: Final = 15.0
BRANCH_SECONDS: Final = 60.0
"""The same of the name of the default branch."""
_MOST_BYTES: Final = 96 * 1024 * 1024
_PASSING: Final = (Throttled, Unanswered)
"""Troubles that go by, during which what was known before is shown."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The commit that a ref stands at, when that was asked, and why it could not be asked anew."""

    ref: str
    commit: str
    asked_at: datetime
    trouble: PlaceError | None = None


class Trees:
    """Refs and listings of all places."""

    def __init__(self, clock: Clock, *, most_bytes: int = _MOST_BYTES) -> None:
        self._listings: Kept[Listing] = Kept(most_bytes)
        self._flights: Flights[Listing] = Flights()
        self._listed: Kept[Standing] = Kept(MOST_ANSWERS)
        self._newest: Kept[str] = Kept(MOST_ANSWERS)
        self._tips: Answers[str] = Answers(clock, TIP_SECONDS)
        self._refs: Answers[list[Ref]] = Answers(clock, REFS_SECONDS)
        self._tags: Kept[bool] = Kept(MOST_ANSWERS)
        self._branches: Answers[str] = Answers(clock, BRANCH_SECONDS)

    def entries(self, record: PlaceRecord, place: Place, commit: str) -> Sequence[Entry]:
        """Return the paths of a commit that may be shown and that the place allows, sorted."""
        return self.listing(record, place, commit).entries

    def listing(self, record: PlaceRecord, place: Place, commit: str, *, ref: str = "") -> Listing:
        """Return the listing of a commit; raises PlaceError when it is not kept and can't be fetched.

        ``ref`` is what it is asked for by: the ref's last listing is likely to differ the least.
        """
        key = _listing_key(record, commit)
        kept = self._listings.get(key)
        if kept is not None:
            return kept
        return self._flights.call(key, lambda: self._fetch(record, place, commit, ref))

    def latest(self, record: PlaceRecord, place: Place, ref: str) -> tuple[Standing, Listing]:
        """Return a ref's listing; while the place gives none, its last one. Raises PlaceError."""
        standing = self.standing(record, place, ref)
        key = (*_key(record), ref)
        try:
            listing = self.listing(record, place, standing.commit, ref=ref)
        except _PASSING as error:
            before = self._listed.get(key)
            kept = self._listings.get(_listing_key(record, before.commit)) if before else None
            if before is None or kept is None:
                raise
            return replace(before, trouble=error), kept
        self._listed.put(key, standing)
        return standing, listing

    def default_branch(self, record: PlaceRecord, place: Place) -> str:
        """Return the branch that is shown first; raises Missing when the repository is empty."""
        if record.default_branch:
            return record.default_branch
        return self._branches.ask(_key(record), place.default_branch).value

    def standing(self, record: PlaceRecord, place: Place, ref: str) -> Standing:
        """Return where a branch, tag or commit stands; what was known before when it can't be asked now.

        Raises PlaceError when nothing is known of it.
        """
        key = (*_key(record), ref)
        before = self._tips.known(key)
        try:
            asked = self._tips.ask(key, lambda: place.resolve(ref))
        except _PASSING as error:
            if before is None:
                raise
            return Standing(ref, before.value, before.asked_at, error)
        except Missing:
            self._tips.forget(key)
            raise
        return Standing(ref, asked.value, asked.asked_at)

    def refs(self, record: PlaceRecord, place: Place, text: str = "", *, limit: int = 100) -> list[Ref]:
        """Return branches and tags whose name holds the text; raises PlaceError."""
        key = (*_key(record), text, limit)
        found = self._refs.ask(key, lambda: place.refs(text, limit=limit)).value
        branches = {ref.name for ref in found if not ref.is_tag}
        for ref in found:
            if ref.is_tag and ref.name not in branches:
                self._tags.put((*_key(record), ref.name), True)
        return found

    def is_fixed(self, record: PlaceRecord, ref: str, commit: str) -> bool:
        """Tell whether a ref is known to be no branch: a commit itself, or a tag that was listed."""
        return ref == commit or self._tags.get((*_key(record), ref)) is not None

    def forget(self, record: PlaceRecord, ref: str) -> None:
        """Ask anew for a branch that was changed from here."""
        self._tips.forget((*_key(record), ref))

    def _fetch(self, record: PlaceRecord, place: Place, commit: str, ref: str) -> Listing:
        listing = self._derived(record, place, commit, ref)
        if listing is None:
            listing = listing_of(place.list_files(commit), record.allowed_paths)
        self._listings.put(_listing_key(record, commit), listing, listing.weight)
        self._newest.put(_key(record), commit)
        return listing

    def _derived(self, record: PlaceRecord, place: Place, commit: str, ref: str) -> Listing | None:
        """Return the listing by what differs from a kept one, None where all has to be listed."""
        before, listing = self._before(record, ref)
        if listing is None or listing.steps >= MOST_STEPS:
            return None
        changes = place.changes_between(
            before, commit, wanted=lambda path: is_allowed(path, record.allowed_paths)
        )
        return None if changes is None else derived(listing, changes)

    def _before(self, record: PlaceRecord, ref: str) -> tuple[str, Listing | None]:
        """Return the commit whose kept listing is nearest: the ref's last one, else the place's."""
        listed = self._listed.get((*_key(record), ref))
        for commit in (listed.commit if listed else None, self._newest.get(_key(record))):
            listing = self._listings.get(_listing_key(record, commit)) if commit else None
            if commit and listing is not None:
                return commit, listing
        return "", None


def _listing_key(record: PlaceRecord, commit: str) -> tuple[object, ...]:
    return record.id, record.url, record.repository, commit, record.allowed_paths


def _key(record: PlaceRecord) -> tuple[object, ...]:
    """Return what an answer of a place hangs on: a place that was changed is another one."""
    return record.id, record.updated_at
