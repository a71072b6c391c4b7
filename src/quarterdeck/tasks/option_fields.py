"""The options of a run as the fields of a form: read from text, and written into it again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from quarterdeck.core.errors import Invalid
from quarterdeck.tasks.amounts import bytes_text, read_bytes, read_seconds, seconds_text
from quarterdeck.tasks.options import RunOptions

_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class OptionField:
    """A field: what is told of it, what is said of a mistake, how its text is read and written."""

    told: str
    """For the head of the folded section; empty when it says nothing by itself."""
    mistake: str = ""
    read: Callable[[str], object] = str
    write: Callable[[Any], str] = str  # Any: the option's own type


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        raise Invalid({"amount": "This must be a whole number."})
    return int(text)


def _time(told: str, name: str, longest: str = "7 d") -> OptionField:
    mistake = f"{name}: seconds, or a time such as 5 min or 2 h; {longest} at most."
    return OptionField(told, mistake, read_seconds, seconds_text)


FIELDS: Final[Mapping[str, OptionField]] = {
    "keep_running": OptionField("keeps running", read=lambda text: text == "true", write=lambda _: "true"),
    "connect_seconds": _time("{} to connect", "Connecting", "5 min"),
    "first_byte_seconds": _time("{} to the first output", "First output"),
    "silence_seconds": _time("{} of silence", "Silence"),
    "expires_seconds": _time("{} for offline hosts", "Wait for offline hosts"),
    "at_once": OptionField("{} at once", "Hosts at once: a number from 1 to 1,000.", _number),
    "canary": OptionField("canary of {}", "Canary hosts: a number from 0 to 1,000.", _number),
    "stop_at_failed_percent": OptionField(
        "stop at {} % failed",
        "Stop at % failed: a number from 1 to 100.",
        lambda text: _number(text.removesuffix("%").strip()),
    ),
    "output_bytes": OptionField(
        "output up to {}",
        "Output at most: a size such as 500 kB or 64 MB; from 1 KiB to 1 GiB.",
        read_bytes,
        bytes_text,
    ),
    "on_output_limit": OptionField("", "Choose what happens at the limit of the output."),
}


def read_options(fields: Mapping[str, str]) -> tuple[dict[str, object], dict[str, str]]:
    """Return the options that are filled in, and what is wrong with the text of the others, by field."""
    options: dict[str, object] = {}
    faults: dict[str, str] = {}
    for name, field in FIELDS.items():
        if text := fields.get(name, "").strip():
            try:
                options[name] = field.read(text)
            except Invalid:
                faults[name] = field.mistake
    return options, faults


def option_values(options: RunOptions) -> dict[str, str]:
    """Return the fields of the form that would make these options again."""
    given = msgspec.to_builtins(options)
    return {name: FIELDS[name].write(value) for name, value in given.items()}


def options_told(values: Mapping[str, Any]) -> list[str]:  # Any: the fields of a whole form
    """Return in words what is filled in and can be read, for the head of the folded section."""
    filled = {name: str(values.get(name) or "").strip() for name in FIELDS}
    read, _ = read_options(filled)
    return [
        FIELDS[name].told.format(FIELDS[name].write(value))
        for name, value in read.items()
        if FIELDS[name].told and filled[name] != "0"
    ]
