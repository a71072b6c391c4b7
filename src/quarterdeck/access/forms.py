"""What the pages and the API of people accept."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from quarterdeck.access.models import LABEL_LENGTH
from quarterdeck.access.tokens import MAX_DAYS
from quarterdeck.core.actors import Role, Scope
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form


def _none_if_empty(value: Any) -> Any:  # Any: what a browser or a JSON client sends
    return None if value == "" else value


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
    """Somebody to add; without a password a one-time link is made for them."""

    name: Name
    role: OptionalRole = None


class RoleForm(Form):
    role: OptionalRole


class TokenForm(Form):
    """A token to make; ``person`` is whom it acts for, the caller when it is left out."""

    label: Annotated[str, Field(min_length=1, max_length=LABEL_LENGTH)]
    scope: Scope
    expires_days: Days = None


class NewTokenBody(TokenForm):
    person: Name | None = None


class NewPersonBody(PersonForm):
    password: Password | None = None


class PersonChange(Form):
    """What to change; what is left out stays."""

    role: OptionalRole = None
    is_disabled: bool | None = None
    password: Password | None = None
