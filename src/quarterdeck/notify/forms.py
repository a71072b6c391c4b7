"""What the API of toasts accepts."""

from typing import Annotated

from pydantic import Field

from quarterdeck.core.actors import Role
from quarterdeck.core.forms import Form, example
from quarterdeck.notify.models import LINK_LENGTH, TEXT_LENGTH, ToastLevel


class ToastBody(Form, title="NewToast"):
    """A message to a person, to a role, or (with neither) to all."""

    model_config = example({"text": "Deployed", "level": "success", "role": "operator"})

    text: Annotated[str, Field(min_length=1, max_length=TEXT_LENGTH)]
    level: ToastLevel = ToastLevel.INFO
    person: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    role: Role | None = None
    link: Annotated[str, Field(max_length=LINK_LENGTH, description="A path on this site.")] = ""
