"""What the commands of all capabilities share: whether they work on a home or over a master's API."""

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])  # Any: click calls it with its options
HOME_ONLY: Final = "is_home_only"


def is_remote(node: object) -> bool:
    """Tell whether a command works over the API of a master, and on no home."""
    return bool(getattr(node, "is_remote", False))


def at_home_only(command: Command) -> Command:
    """Mark a command that works on a home or starts something there; over --server it says so."""

    @functools.wraps(command)
    def guarded(node: object, /, *arguments: Any, **options: Any) -> Any:  # Any: handed on
        if is_remote(node):
            raise click.UsageError(
                f"`{click.get_current_context().command_path}` works on the machine and home of the node "
                "itself, not over the API: leave out --server and --token-file, and unset QUARTERDECK_SERVER "
                "and QUARTERDECK_TOKEN_FILE."
            )
        return command(node, *arguments, **options)

    setattr(guarded, HOME_ONLY, True)
    return guarded  # type: ignore[return-value]  # it takes and returns what the command does
