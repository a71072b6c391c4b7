"""The options of a run on the command line, each with the name that a terminal wants for it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from quarterdeck.core.errors import Invalid
from quarterdeck.tasks.amounts import read_bytes, read_seconds
from quarterdeck.tasks.options import OnOutputLimit

Command = TypeVar("Command", bound=Callable[..., Any])  # Any: click calls it with its options


class _Amount(click.ParamType[int]):
    """A time or a size as people write it."""

    def __init__(self, name: str, read: Callable[[str], int]) -> None:
        self.name, self._read = name, read

    def convert(
        self,
        value: Any,  # Any: as click declares it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        try:
            return self._read(str(value))
        except Invalid as error:
            self.fail(error.message, param, ctx)


TIME: Final = _Amount("time", read_seconds)
SIZE: Final = _Amount("size", read_bytes)

_FLAGS: Final = (
    click.option("--connect", "connect_seconds", type=TIME, help="Limit for reaching a host."),
    click.option("--first-byte", "first_byte_seconds", type=TIME, help="Limit until the first output."),
    click.option("--silence", "silence_seconds", type=TIME, help="Limit without output."),
    click.option("--expires", "expires_seconds", type=TIME, help="How long to wait for hosts that are away."),
    click.option("--at-once", type=int, metavar="N", help="Work on so many hosts at a time."),
    click.option("--canary", type=int, metavar="N", help="So many hosts first; the rest if these succeed."),
    click.option(
        "--stop-at",
        "stop_at_failed_percent",
        type=int,
        metavar="PERCENT",
        help="Begin no further host once so many have failed.",
    ),
    click.option("--output-limit", "output_bytes", type=SIZE, help="Most output of a host, such as 64MB."),
    click.option(
        "--on-output-limit", type=click.Choice([str(each) for each in OnOutputLimit]), help="At that limit."
    ),
)


def option_flags(command: Command) -> Command:
    """Add the options of a run to a command."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


def given(options: Mapping[str, object]) -> dict[str, object]:
    """Return what was given, as the body of a run takes it."""
    return {name: value for name, value in options.items() if value is not None}
