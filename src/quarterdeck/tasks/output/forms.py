"""What the edges accept that show output: which lines of it, and how."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from quarterdeck.core.forms import Form

_MOST_LINES = 1000

StreamName = Literal["", "out", "err"]
Number = Annotated[int, Field(ge=0, le=10**15)]
"""Of a line, counted from 1; 0 where none is named."""
Wanted = Annotated[str, Field(max_length=200)]


class LogPageQuery(Form):
    """How a page shows output: from where (else its end), what is looked for in it, and the switches."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    stream: StreamName = ""
    line: Number = 0
    start: Annotated[Number, Field(alias="from")] = 0
    q: Wanted = ""
    case: bool = False
    hits: Number = 1
    wrap: Literal["", "off"] = ""
    times: Literal["", "on"] = ""
    error: Literal["", "none"] = ""
    """Nothing in the output looks like an error: said to who has just looked for it."""


class LinesQuery(Form):
    """Lines of one host by their numbers; without ``from`` the last ones."""

    host: Annotated[str, Field(max_length=100)]
    stream: StreamName = ""
    start: Annotated[Number, Field(alias="from")] = 0
    count: Annotated[int, Field(ge=1, le=_MOST_LINES)] = 500
    q: Wanted = ""
    case: bool = False


class FindQuery(Form):
    """What is looked for in the output of one host, and from which line on."""

    host: Annotated[str, Field(max_length=100)]
    stream: StreamName = ""
    q: Annotated[str, Field(min_length=1, max_length=200)]
    case: bool = False
    start: Annotated[Number, Field(alias="from")] = 1


class ErrorQuery(Form):
    """From which line on the first error is looked for; the switches are handed on to the page."""

    host: Annotated[str, Field(max_length=100)]
    stream: StreamName = ""
    start: Annotated[Number, Field(alias="from")] = 1
    wrap: Literal["", "off"] = ""
    times: Literal["", "on"] = ""
