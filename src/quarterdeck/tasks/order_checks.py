"""What makes an order one that a worker can carry out; pure."""

import re
from datetime import datetime
from typing import Any, Final

import msgspec

from quarterdeck.core.errors import Forbidden, Invalid
from quarterdeck.protocol.orders import Order, is_intact
from quarterdeck.protocol.tasks import BuiltinTask, CallTask, CommandTask, Task
from quarterdeck.tasks.local.builtins import checked_arguments
from quarterdeck.tasks.options import DEFAULT_OUTPUT_BYTES, OnOutputLimit

ORDER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_CHANGED: Final = (
    "The digest does not fit the order: it was changed on its way, or a newer master asks for something "
    "that this version of the worker does not know."
)

LONGEST_TIMEOUT: Final = 604_800
_LONGEST_COMMAND: Final = 100_000


def check_seal(order: Order, audience: str) -> None:
    """Raise Invalid or Forbidden for an order that was changed on its way or is not for this worker."""
    if not ORDER_ID.match(order.id) or not ORDER_ID.match(order.run):
        raise Invalid({"id": "Ids have up to 64 letters, digits, dashes and underscores."})
    if not is_intact(order):
        raise Invalid({"digest": _CHANGED})
    if not 16 <= len(order.nonce) <= 200:
        raise Invalid({"nonce": "A nonce has 16 to 200 characters."})
    if order.audience and audience and order.audience != audience:
        raise Forbidden("This order is for another worker.")


def check_content(order: Order, now: datetime) -> None:
    """Raise Invalid for an order that comes too late or asks for what a worker doesn't do."""
    if isinstance(order.task, CallTask):
        raise Invalid({"task": "API calls are made by the master; workers run commands and built-in tasks."})
    check_task(order.task)
    check_limit(order.timeout_seconds)
    if order.output_bytes < 1:
        raise Invalid({"output_bytes": "At least one byte."})
    if order.on_output_limit not in set(OnOutputLimit):
        raise Invalid({"on_output_limit": f"This is {' or '.join(OnOutputLimit)}."})
    if order.deadline <= now:
        raise Invalid({"deadline": _late(order, now)})


def check_task(task: Task) -> None:
    """Raise Invalid for a command that no shell could take as it is, and for arguments that there are not."""
    if isinstance(task, BuiltinTask):
        checked_arguments(task.name, task.arguments)
    if isinstance(task, CommandTask) and (fault := fault_of_command(task.command)):
        raise Invalid({"task.command": fault})


def fault_of_command(command: str) -> str:
    """Say what is wrong with a command, or return an empty text."""
    if not command.strip():
        return "Give a command, for example df -h /"
    if "\0" in command:
        return "A command can't contain a NUL character."
    if len(command) > _LONGEST_COMMAND:
        return f"At most {_LONGEST_COMMAND:,} characters; put a longer script on the host."
    return ""


def check_limit(timeout_seconds: float) -> None:
    """Raise Invalid for a time limit that is none."""
    if timeout_seconds < 0:
        raise Invalid({"timeout_seconds": "This can't be negative; 0 means no limit."})
    if timeout_seconds > LONGEST_TIMEOUT:
        raise Invalid({"timeout_seconds": f"At most {LONGEST_TIMEOUT:,} seconds (a week)."})


def detail_of(order: Order) -> dict[str, Any]:  # Any: JSON
    """Return what the history keeps of an order: exactly what is run, and who asked."""
    detail = {
        "run": order.run,
        "host": order.host,
        "task": msgspec.to_builtins(order.task),
        "asked_by": order.actor[:200],
        "timeout_seconds": order.timeout_seconds,
        "master_head": order.master_head[:64],
    }
    if (order.output_bytes, order.on_output_limit) != (DEFAULT_OUTPUT_BYTES, OnOutputLimit.HALT):
        detail |= {"output_bytes": order.output_bytes, "on_output_limit": order.on_output_limit}
    return detail


def _late(order: Order, now: datetime) -> str:
    seconds = (now - order.deadline).total_seconds()
    return (
        f"The order should have begun {seconds:,.0f} s ago by this worker's clock; "
        "send it anew, and compare the clocks of master and worker."
    )
