"""What the commands need of places and files, on a home or over the API of a master."""

from collections.abc import Sequence
from typing import Protocol

from quarterdeck.core.actors import Actor
from quarterdeck.files.models import PlaceRecord
from quarterdeck.files.place_drafts import PlaceDraft
from quarterdeck.files.places.place import Check, Entry


class PlaceBook(Protocol):
    """The register itself, or ``remote.RemotePlaces``; over the API the token says who acts."""

    def list_places(self, actor: Actor, /) -> list[PlaceRecord]: ...

    def add(self, actor: Actor, draft: PlaceDraft, /) -> PlaceRecord: ...

    def remove(self, actor: Actor, name: str, /) -> None: ...

    def test(self, actor: Actor, name: str, /) -> list[Check]: ...


class FileBook(Protocol):
    """The service itself, or ``remote.RemoteFiles``."""

    @property
    def places(self) -> PlaceBook: ...

    def find(
        self, actor: Actor, place: str, words: str, /, *, ref: str = "", limit: int
    ) -> Sequence[Entry]: ...

    def read(self, actor: Actor, place: str, path: str, /, *, ref: str = "") -> bytes: ...
