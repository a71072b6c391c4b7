"""What the pages and the API of people accept."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from quarterdeck.access.models import (
    DISPLAY_NAME_LENGTH,
    GROUP_LENGTH,
    LABEL_LENGTH,
    OBJECT_LENGTH,
    SCOPE_LENGTH,
    ZONE_LENGTH,
)
from quarterdeck.access.tokens import MAX_DAYS
from quarterdeck.core.actors import Role
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form, example


def _none_if_empty(value: Any) -> Any:  # Any: what a browser or a JSON client sends
    return None if value == "" else value


def _words(value: Any) -> Any:  # Any: a list from a program, words from a browser
    """Return the words of a text field; an empty one is no limit."""
    return (value.replace(",", " ").split() or None) if isinstance(value, str) else value


HostTag = Annotated[str, Field(min_length=1, max_length=40)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Password = Annotated[str, Field(max_length=1024)]
OptionalRole = Annotated[Role | None, BeforeValidator(_none_if_empty)]
Days = Annotated[
    # The limits belong to the number: outside of the choice they would be asked of None too.
    Annotated[int, Field(ge=1, le=MAX_DAYS)] | None,
    BeforeValidator(_none_if_empty),
    Field(description="Days until it expires; never when it is left out."),
]


class SignInForm(Form):
    """Longer names and passwords are refused by the door, in the words of all other refusals."""

    name: str = ""
    password: str = ""
    next: str = ""


class NewPasswordForm(Form):
    """A new password, typed twice; empty to keep the one that is there."""

    password: Password = ""
    again: Password = ""

    def chosen(self) -> str:
        """Return the password; raises Invalid when the two differ."""
        if self.password != self.again:
            raise Invalid({"again": "The two passwords differ."})
        return self.password


class SetUpForm(NewPasswordForm):
    name: Name


class ChangePasswordForm(NewPasswordForm):
    old: Password


class PersonForm(Form):
    """Somebody to add; without a password a one-time link is made, but for a service account."""

    name: Name
    role: OptionalRole = None
    is_service: bool = False


class RoleForm(Form):
    role: OptionalRole


class ProfileForm(Form, title="ProfileChange"):
    """What somebody changes about the look of the pages; what is left out stays, empty is the default."""

    display_name: Annotated[str | None, Field(max_length=DISPLAY_NAME_LENGTH)] = None
    theme: Literal["system", "light", "dark"] | None = None
    time_zone: Annotated[str | None, Field(max_length=ZONE_LENGTH)] = None


class TokenForm(Form):
    """A token to make; ``person`` is whom it acts for, the caller when it is left out."""

    label: Annotated[str, Field(min_length=1, max_length=LABEL_LENGTH)]
    scope: Annotated[str, Field(min_length=1, max_length=SCOPE_LENGTH)]
    expires_days: Days = None
    host_tags: Annotated[Annotated[list[HostTag], Field(max_length=20)] | None, BeforeValidator(_words)] = (
        None
    )


class RotateForm(Form, title="TokenRotation"):
    """How long the old secret still counts beside the new one."""

    overlap_hours: Annotated[int, Field(ge=0, le=168)] = 24


class GrantForm(Form, title="NewGrant"):
    """A right to give: to a person or to a group, on ``host:NAME``, ``tag:TAG`` or ``place:NAME``."""

    model_config = example({"person": "ada", "level": "run", "object": "tag:web"})

    person: Annotated[str, Field(max_length=64)] = ""
    group: Annotated[str, Field(max_length=GROUP_LENGTH)] = ""
    level: Annotated[str, Field(max_length=8)] = "run"
    object: Annotated[str, Field(max_length=OBJECT_LENGTH)]


class TokenListQuery(Form):
    """Whose tokens; without either, the caller's own."""

    person: Annotated[str, Field(max_length=64)] = ""
    all: bool = False


class NewTokenBody(TokenForm, title="NewToken"):
    model_config = example({"label": "backup", "scope": "runs:run", "expires_days": 90})

    person: Name | None = None


class NewPersonBody(PersonForm, title="NewPerson"):
    model_config = example({"name": "ada", "role": "operator"})

    password: Password | None = None


class PersonChange(Form):
    """What to change; what is left out stays."""

    role: OptionalRole = None
    is_disabled: bool | None = None
    password: Password | None = None
