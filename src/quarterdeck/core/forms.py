"""Input from forms and JSON into typed objects, with one message a field."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from quarterdeck.core.errors import Invalid

M = TypeVar("M", bound=BaseModel)

_PLAIN: Final = {
    "missing": "This is needed.",
    "string_too_short": "This is too short.",
    "string_too_long": "This is too long.",
    "int_parsing": "This must be a whole number.",
    "float_parsing": "This must be a number.",
    "bool_parsing": "This must be true or false.",
    "extra_forbidden": "There is no such field.",
    "json_invalid": "This is not valid JSON.",
    "string_pattern_mismatch": "This does not have the form that is expected here.",
    "string_unicode": "This is no text.",
    "enum": "Use one of {expected}.",
    "literal_error": "Use one of {expected}.",
    "union_tag_invalid": "Its {discriminator} must be one of {expected_tags}.",
    "union_tag_not_found": "Say its {discriminator}.",
    "greater_than_equal": "This must be at least {ge}.",
    "less_than_equal": "This must be at most {le}.",
}


class Form(BaseModel):
    """What an edge accepts: unknown fields are refused, text is trimmed by the field that wants it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="after")
    @classmethod
    def _is_text(cls, value: object) -> object:
        """Refuse what no database keeps as text, before it is searched for or stored."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("This can't contain a NUL character.")
        return value


def example(values: dict[str, Any]) -> ConfigDict:  # Any: JSON
    """Return the part of a model's configuration with a body to start from, for the API's document."""
    return ConfigDict(json_schema_extra={"examples": [values]})


def parse(model: type[M], values: Mapping[str, Any]) -> M:
    """Return the validated object; raises Invalid with a message for each bad field (dotted path)."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise invalid(error) from error


def invalid(error: ValidationError) -> Invalid:
    """Return the refusal of what does not fit, with the first message of each field in plain words."""
    messages: dict[str, str] = {}
    for item in error.errors(include_url=False, include_input=False):
        name = ".".join(str(step) for step in item["loc"]) or "form"
        plain = _PLAIN.get(item["type"], "").format_map(item.get("ctx", {}))
        text = plain or item["msg"].removeprefix("Value error, ")
        messages.setdefault(name, text[:1].upper() + text[1:])
    return Invalid(messages, "; ".join(f"{name}: {text}" for name, text in messages.items()))
