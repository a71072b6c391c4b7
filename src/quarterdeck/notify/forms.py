"""What the API of toasts accepts."""

from typing import Annotated

from pydantic import Field

from quarterdeck.core.actors import Role
from quarterdeck.core.forms import Form
from quarterdeck.notify.models import LINK_LENGTH, TEXT_LENGTH, Level


class ToastBody(Form):
    """A message to a person, to a role, or (with neither) to all."""

    text: Annotated[str, Field(min_length=1, max_length=TEXT_LENGTH)]
    level: Level = Level.INFO
    person: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    role: Role | None = None
    link: Annotated[str, Field(max_length=LINK_LENGTH, description="A path on this site.")] = ""
