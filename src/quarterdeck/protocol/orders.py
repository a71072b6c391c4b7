"""What master and worker say to each other, as JSON (an ``OutputPage`` as MessagePack).

Times are aware and UTC, sizes in bytes, durations in seconds. A reader ignores members that it does
not know and fills in missing ones, so that a node may be one minor version newer than the other.
``head`` and ``seq`` are always the sender's latest history hash and its number: each side records
the other's, and so is its witness.
"""

import hashlib
import hmac
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from quarterdeck.protocol.tasks import Task

Moment = Annotated[datetime, Meta(tz=True)]
"""A time with its zone; one without is refused."""


class Order(Struct, frozen=True, kw_only=True):
    """The master tells a worker to run a task.

    ``id`` names the order for ever: sent again, it is answered with the state of the first.
    ``deadline`` is the moment from which on the task may not begin any more; ``timeout_seconds`` is how
    long it may take, 0 for no limit. ``nonce`` is used by one order only. ``actor`` is who asked, as the
    history shows it. ``audience`` is the worker's id in the master's list, empty when not known.
    ``output_bytes`` is what may be kept of both streams together; ``on_output_limit`` is ``halt`` to end
    the command there, or ``cut`` to let it go on and keep no more. ``digest`` is that of ``digest_of``.
    """

    id: str
    run: str
    host: str
    task: Task
    deadline: Moment
    nonce: str
    actor: str
    timeout_seconds: float = 0
    output_bytes: int = 1 << 30
    on_output_limit: str = "halt"
    audience: str = ""
    master_head: str = ""
    master_seq: int = 0
    digest: str = ""


class Receipt(Struct, frozen=True, kw_only=True):
    """The worker has put the order into its history and on its disk; ``state`` is a run state."""

    id: str
    state: str
    head: str = ""
    seq: int = 0


class OrderStatus(Struct, frozen=True, kw_only=True):
    """Where an order stands; also what a worker reports by itself when a long task has ended.

    ``state`` is a run state. ``exit_status`` is None until there is one. ``gone`` is the proof of a
    cancel: all processes gone, some left, or None for not known or not asked.
    """

    id: str
    state: str
    run: str = ""
    host: str = ""
    exit_status: int | None = None
    message: str = ""
    started_at: Moment | None = None
    finished_at: Moment | None = None
    out_bytes: int = 0
    err_bytes: int = 0
    gone: bool | None = None
    details: dict[str, Any] = field(default_factory=dict)  # Any: what JSON can hold
    head: str = ""
    seq: int = 0

    @property
    def is_terminal(self) -> bool:
        return self.finished_at is not None


class OutputChunk(Struct, frozen=True, array_like=True):
    """A piece of a stream (``out`` or ``err``) and its offset there."""

    stream: str
    offset: int
    data: bytes


class OutputPage(Struct, frozen=True):
    """The next output of an order in its order of arrival, with the status read before it.

    A terminal status with no chunks means that all output has been handed over.
    """

    status: OrderStatus
    chunks: list[OutputChunk] = field(default_factory=list)


class TaskRequest(Struct, frozen=True, kw_only=True):
    """A task asked of a worker without an order, by whoever holds the master's bearer.

    ``target`` is empty for the worker itself or ``master`` to have it handed on. The answer is waited
    for up to ``wait_seconds``.
    """

    task: Task
    target: str = ""
    wait_seconds: float = 2
    timeout_seconds: float = 0


class TaskAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a ``TaskRequest``: where the task stands and the end of its output so far."""

    status: OrderStatus
    out: str = ""
    err: str = ""


class Handed(Struct, frozen=True, kw_only=True):
    """A worker hands a task to its master, which runs it on its own machine.

    ``id`` is the worker's: handed again, it is answered with the state of the first.
    """

    id: str
    task: Task
    deadline: Moment
    actor: str = ""
    timeout_seconds: float = 0
    head: str = ""
    seq: int = 0


class HandedAnswer(Struct, frozen=True, kw_only=True):
    """The master's answer: the run that it made of the task."""

    id: str
    run: str
    state: str
    head: str = ""
    seq: int = 0


class JoinRequest(Struct, frozen=True, kw_only=True):
    """The master makes itself known to a worker that it was given the bearer of.

    ``worker_token`` is what the worker shows to the master from now on; ``audience`` is the worker's
    id in the master's list.
    """

    master_url: str
    worker_token: str
    master_name: str = "master"
    audience: str = ""
    head: str = ""
    seq: int = 0


class JoinAnswer(Struct, frozen=True, kw_only=True):
    """The worker is joined; ``node`` is the name that it gives itself."""

    node: str
    version: str
    head: str = ""
    seq: int = 0


class ShutdownRequest(Struct, frozen=True, kw_only=True):
    """The worker is asked to end. ``leave_running`` leaves commands to the next worker, for an upgrade."""

    leave_running: bool = False


class Health(Struct, frozen=True, kw_only=True):
    """How a worker is. ``time`` is its clock; ``load`` is the average over 1, 5 and 15 minutes."""

    node: str
    version: str
    time: Moment
    head: str = ""
    seq: int = 0
    joined: bool = False
    running: int = 0
    uptime_seconds: float = 0
    load: tuple[float, float, float] = (0, 0, 0)
    processors: int = 0
    memory_bytes: int = 0
    memory_available_bytes: int = 0
    disk_bytes: int = 0
    disk_free_bytes: int = 0


def digest_of(order: Order) -> str:
    """Return the SHA-256 over everything that an order says, as hex.

    Members at their default are left out: a newer master's additional member changes the digest only
    when it is used, and then a worker that does not know it refuses instead of doing half.
    """
    # As the other side reads it: a whole number given for a float, for one, is a float there.
    received = msgspec.json.decode(msgspec.json.encode(order), type=type(order))
    said = _said(msgspec.structs.replace(received, digest=""))
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).hexdigest()


def sealed(order: Order) -> Order:
    """Return the order with its digest filled in."""
    return msgspec.structs.replace(order, digest=digest_of(order))


def is_intact(order: Order) -> bool:
    return hmac.compare_digest(digest_of(order), order.digest)


def _said(value: Any) -> Any:  # Any: a Struct or what JSON can hold
    """Return a Struct as a mapping of the members that differ from their defaults."""
    if not isinstance(value, Struct):
        return value
    said: dict[str, Any] = {}
    if value.__struct_config__.tag is not None:
        said[str(value.__struct_config__.tag_field)] = value.__struct_config__.tag
    for member in msgspec.structs.fields(value):
        content = getattr(value, member.name)
        default = member.default
        if member.default_factory is not msgspec.NODEFAULT:
            default = member.default_factory()
        if content != default:
            said[member.encode_name] = _said(content)
    return said
