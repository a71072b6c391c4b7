"""What a place answers: status, headers, body, and the words in it that people may be shown."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from quarterdeck.files.places.place import Unanswered

WORDS_LENGTH: Final = 300
_MOST_PARSED: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason in an error's body; both are empty when the body holds none."""

    message: str = ""
    """One bounded line without control characters: a stranger's words, never to decide by."""
    name: str = ""
    """Cloud: the error's id or code. Data Center: the last part of ``exceptionName``, to decide by."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer with its whole body; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:  # Any: whatever the place sends; the adapters look at each member
        """Return the decoded body; raises Unanswered for anything but JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            kind = "a page in HTML" if self.media_type == "text/html" else "something that is not JSON"
            raise Unanswered(
                f"The repository's server answered with {kind}. A proxy or a sign-in page may stand between; "
                "check the address of the place."
            ) from error

    def json_object(self) -> dict[str, Any]:
        """Return the decoded body when it is an object; else raises Unanswered."""
        value = self.json()
        if isinstance(value, dict):
            return value
        raise Unanswered("The repository's server answered in a form that is not known here.")

    def problem(self) -> Problem:
        """Return the reason that an error's body gives, of either flavour or in plain text."""
        if self.media_type == "text/plain":
            return Problem(clean(self.body[:4096].decode("utf-8", "replace")))
        if len(self.body) > _MOST_PARSED:
            return Problem()
        try:
            return _problem_of(msgspec.json.decode(self.body))
        except (msgspec.DecodeError, RecursionError, ValueError):
            return Problem()


def clean(text: object, length: int = WORDS_LENGTH) -> str:
    """Return a text as one line without control, bidi and other invisible characters, cut to a length."""
    if not isinstance(text, str):
        return ""
    visible = (" " if unicodedata.category(each)[0] in "CZ" else each for each in text[: length * 4])
    line = " ".join("".join(visible).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _problem_of(body: object) -> Problem:
    if not isinstance(body, dict):
        return Problem()
    error = body.get("error")
    if isinstance(error, dict):
        return _cloud_problem(error)
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if isinstance(first, dict):
        name = clean(first.get("exceptionName"), 200).rpartition(".")[2]
        return Problem(clean(first.get("message")), name)
    return Problem(clean(body.get("message")))


def _cloud_problem(error: dict[str, Any]) -> Problem:
    data = error.get("data")
    key = data.get("key") if isinstance(data, dict) else None
    return Problem(clean(error.get("message")), clean(key or error.get("id"), 200))
