"""How a run is to be run: its limits, what becomes of it after a restart, how it spreads over its hosts.

One frozen value that goes from the form through the tables to the executions; what is left at its default
is not stored, so an old row reads as the defaults.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

DEFAULT_OUTPUT_BYTES: Final = 1 << 30
"""A command that prints without end must not fill the disk."""


class OnOutputLimit(StrEnum):
    """What happens to a host's part of a run whose output reaches the limit."""

    HALT = "halt"
    """The command is ended, and the part has failed."""
    CUT = "cut"
    """The command goes on; what it prints from there on is counted but not kept, and a mark says so."""


class RunOptions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Durations are seconds, sizes bytes; None means that there is no such limit."""

    keep_running: bool = False
    """An SSH command goes on when the master ends, and is taken up again; workers' orders always do."""
    connect_seconds: int | None = None
    """Limit for reaching a host, in place of the settings'."""
    first_byte_seconds: int | None = None
    """Limit from the start of a command to its first output."""
    silence_seconds: int | None = None
    """Limit without output, at any time; before the first one only if that has no limit of its own."""
    expires_seconds: int | None = None
    """How long an order waits for a host that can't be reached; None fails at once."""
    output_bytes: int = DEFAULT_OUTPUT_BYTES
    """Limit of each host's output, both streams together."""
    on_output_limit: OnOutputLimit = OnOutputLimit.HALT
    at_once: int | None = None
    """How many hosts of the run are worked on at a time."""
    canary: int = 0
    """So many hosts go first; the rest follows only when all of these succeeded."""
    stop_at_failed_percent: int | None = None
    """When so many percent of the hosts have failed, timed out or are lost, no further host is begun."""
