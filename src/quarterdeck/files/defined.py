"""Places that the settings define, and the example that a new home begins with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.config import SettingsError
from quarterdeck.core.errors import Invalid
from quarterdeck.core.place_settings import PlaceSettings
from quarterdeck.core.security import private_directory
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft, checked
from quarterdeck.files.places.opening import example_folder
from quarterdeck.files.register import Places

EXAMPLE: Final = "example"


def defined_drafts(defined: Sequence[PlaceSettings]) -> list[PlaceDraft]:
    """Return the places of the settings; raises SettingsError with what is wrong where."""
    return [_draft(each) for each in defined]


def ensure_places(places: Places, defined: Sequence[PlaceSettings], home: Path) -> None:
    """Make the stored places those of the settings, beside those that people added; safe to repeat.

    Without any place in a home that never had the example, that is listed; its repository is made when
    somebody first opens it, so that the start loads nothing for it. One that was removed stays removed.
    """
    places.define(SYSTEM, defined_drafts(defined))
    folder = example_folder(home)
    if places.all() or folder.parent.exists():
        return
    private_directory(folder.parent)
    places.add(SYSTEM, PlaceDraft(name=EXAMPLE, kind=PlaceKind.LOCAL, url=str(folder)))


def _draft(defined: PlaceSettings) -> PlaceDraft:
    draft = PlaceDraft(
        name=defined.name,
        kind=PlaceKind(defined.kind),
        url=defined.url,
        project=defined.project,
        repository=defined.repository,
        default_branch=defined.default_branch,
        allowed_paths=defined.allowed_paths,
        username=defined.username,
        token=defined.token,
        authorities=defined.authorities,
        read_role=defined.read_role,
        write_role=defined.write_role,
    )
    try:
        return checked(draft)
    except Invalid as error:
        field, message = next(iter(error.fields.items()))
        raise SettingsError(f"place.{defined.name}.{field}: {message}") from error
