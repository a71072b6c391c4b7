"""Places and files over the API of a master, for the commands."""

from collections.abc import Sequence

from quarterdeck.core.actors import Actor
from quarterdeck.core.api_client import ApiClient, Json, step
from quarterdeck.files.models import PlaceRecord
from quarterdeck.files.place_drafts import PLAIN_FIELDS, PlaceDraft
from quarterdeck.files.places.place import Check, Entry

_TEST_SECONDS = 300.0
"""A test makes several calls to a repository that may be slow to answer each."""


class RemotePlaces:
    """A ``PlaceBook``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def list_places(self, _actor: Actor) -> list[PlaceRecord]:
        answer = self._client.get("/api/v1/places")
        return self._client.read(list[PlaceRecord], self._client.part(answer, "places"))

    def add(self, _actor: Actor, draft: PlaceDraft) -> PlaceRecord:
        body: Json = {name: getattr(draft, name) for name in PLAIN_FIELDS} | {"token": draft.token or ""}
        return self._client.read(PlaceRecord, self._client.send("POST", "/api/v1/places", body))

    def remove(self, _actor: Actor, name: str) -> None:
        self._client.send("DELETE", f"/api/v1/places/{step(name)}")

    def test(self, _actor: Actor, name: str) -> list[Check]:
        answer = self._client.send("POST", f"/api/v1/places/{step(name)}/test", seconds=_TEST_SECONDS)
        return self._client.read(list[Check], self._client.part(answer, "checks"))


class RemoteFiles:
    """A ``FileBook``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.places = RemotePlaces(client)

    def find(self, _actor: Actor, place: str, words: str, *, ref: str = "", limit: int) -> Sequence[Entry]:
        answer = self._client.get(f"/api/v1/places/{step(place)}/files", ref=ref, q=words, limit=limit)
        return self._client.read(list[Entry], self._client.part(answer, "files"))

    def read(self, _actor: Actor, place: str, path: str, *, ref: str = "") -> bytes:
        return self._client.content(f"/api/v1/places/{step(place)}/raw", ref=ref, path=path)
