"""From a stored place to the adapter that stands behind it; each is loaded when it is first used."""

from quarterdeck.core.clock import Clock
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.places.place import Place


def open_place(record: PlaceRecord, token: str, clock: Clock) -> Place:
    """Return the adapter of a place; calls nothing yet."""
    if record.kind is PlaceKind.LOCAL:
        from quarterdeck.files.places.local import LocalPlace

        return LocalPlace(record)
    if record.kind is PlaceKind.CLOUD:
        from quarterdeck.files.places.cloud import CloudPlace

        return CloudPlace(record, token, clock)
    from quarterdeck.files.places.datacenter import DataCenterPlace

    return DataCenterPlace(record, token, clock)
