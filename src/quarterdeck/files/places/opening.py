"""From a stored place to the adapter that stands behind it; each is loaded when it is first used."""

from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Invalid
from quarterdeck.core.loop import Loop
from quarterdeck.core.security import token_digest
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.places.place import Place

if TYPE_CHECKING:
    from quarterdeck.files.places.allowance import Allowance


class Opener:
    """Makes adapters. Places of one credential share its allowance: Bitbucket counts by credential."""

    def __init__(self, loop: Loop, clock: Clock, home: Path | None = None) -> None:
        """With a home, its example is made when it is first opened."""
        self._loop, self._clock, self._home = loop, clock, home
        self._allowances: dict[str, Allowance] = {}

    def open(self, record: PlaceRecord, token: str) -> Place:
        """Return the adapter of a place, without a call yet; raises Invalid for what can't be one."""
        try:
            return self._open(record, token)
        except ValueError as error:
            raise Invalid({"url": str(error)}) from error

    def _open(self, record: PlaceRecord, token: str) -> Place:
        if record.kind is PlaceKind.LOCAL:
            from quarterdeck.files.places.local import LocalPlace

            self._make_example(record.url)
            return LocalPlace(record.url, self._clock, branch=record.default_branch)
        if record.kind is PlaceKind.CLOUD:
            from quarterdeck.files.places.cloud import cloud_place

            allowance = self._allowance(record, token)
            return cloud_place(record, token, loop=self._loop, clock=self._clock, allowance=allowance)
        from quarterdeck.files.places.datacenter import data_center_place

        return data_center_place(record, token, loop=self._loop, clock=self._clock)

    def _make_example(self, url: str) -> None:
        """Make the example of the home, when it is this and was never made."""
        if self._home is None or url != str(example_folder(self._home)) or Path(url).exists():
            return
        from quarterdeck.files.places.example import ensure_example

        ensure_example(self._home, self._clock)

    def _allowance(self, record: PlaceRecord, token: str) -> "Allowance":
        from quarterdeck.files.places.allowance import Allowance
        from quarterdeck.files.places.cloud import HOURLY_LIMIT

        key = token_digest(f"{record.url} {record.username} {token}")
        return self._allowances.setdefault(key, Allowance(self._clock, HOURLY_LIMIT))


def example_folder(home: Path) -> Path:
    """Return where the example of a home is or would be."""
    return home.resolve() / "files" / "example.git"


def close_place(place: Place) -> None:
    """Let the connections of an adapter go, where it has any."""
    close = getattr(place, "close", None)
    if close is not None:
        close()
