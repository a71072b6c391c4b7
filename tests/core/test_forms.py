from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form, parse


class Address(BaseModel):
    port: int = Field(22, ge=1, le=65535)


class HostForm(Form):
    name: Annotated[str, Field(min_length=2, max_length=5)]
    port: int = 22
    is_active: bool = True
    address: Address = Address()

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if value.startswith("-"):
            raise ValueError("a name does not begin with a dash.")
        return value


def test_good_values_become_an_object() -> None:
    form = parse(HostForm, {"name": "db-1", "port": "2222", "is_active": "false"})
    assert (form.name, form.port, form.is_active) == ("db-1", 2222, False)


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, {"name": "This is needed."}),
        ({"name": "x"}, {"name": "This is too short."}),
        ({"name": "x" * 6}, {"name": "This is too long."}),
        ({"name": "-rf"}, {"name": "A name does not begin with a dash."}),
        ({"name": "db", "port": "many"}, {"port": "This must be a whole number."}),
        ({"name": "db", "is_active": "maybe"}, {"is_active": "This must be true or false."}),
        ({"name": "db", "role": "administrator"}, {"role": "There is no such field."}),
        (
            {"name": "db", "address": {"port": 0}},
            {"address.port": "This must be at least 1."},
        ),
        ({"name": "x", "port": "y"}, {"name": "This is too short.", "port": "This must be a whole number."}),
    ],
)
def test_each_bad_field_has_its_message(values: dict[str, object], fields: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        parse(HostForm, values)
    assert refused.value.fields == fields
    assert refused.value.message == "; ".join(f"{name}: {text}" for name, text in fields.items())


def test_a_choice_says_what_can_be_chosen() -> None:
    class Choice(Form):
        scope: Literal["read", "run"]
        code: Annotated[str, Field(pattern="^[a-z]+$")] = "a"

    with pytest.raises(Invalid) as refused:
        parse(Choice, {"scope": "marker-secret", "code": "1"})
    expected = "This does not have the form that is expected here."
    assert refused.value.fields == {"scope": "Use one of 'read' or 'run'.", "code": expected}


def test_what_was_typed_is_not_in_the_message() -> None:
    with pytest.raises(Invalid) as refused:
        parse(HostForm, {"name": "db", "port": "marker-secret"})
    assert "marker" not in str(refused.value)


def test_a_nul_is_refused_before_it_reaches_a_database() -> None:
    with pytest.raises(Invalid) as refused:
        parse(HostForm, {"name": "d\0b", "port": 22})
    assert refused.value.fields == {"name": "This can't contain a NUL character."}
