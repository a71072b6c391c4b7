"""What a worker node answers its master: orders, their status and output, how the node is, its end."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

import msgspec
import psutil
from flask import Blueprint, Response, request

from quarterdeck import __version__
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.errors import Invalid
from quarterdeck.core.ids import new_id
from quarterdeck.core.security import new_token
from quarterdeck.core.web import actor, allow, part
from quarterdeck.history.service import History
from quarterdeck.hosts.membership import Membership
from quarterdeck.protocol.orders import (
    Handed,
    HandedAnswer,
    Health,
    JoinAnswer,
    JoinRequest,
    Order,
    ShutdownRequest,
    TaskAnswer,
    TaskRequest,
    sealed,
)
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.order_checks import check_limit
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.worker.master_calls import MasterCalls
from quarterdeck.tasks.worker.spool import MASTER, Spool

S = TypeVar("S", bound=msgspec.Struct)

LONGEST_WAIT_SECONDS: Final = 25.0
_PAGE_BYTES: Final = 240 * 1024
"""A page fits into what the bridge sends at once."""
_RANGE_BYTES: Final = 1 << 20
_TAIL_BYTES: Final = 65536
_HAND_SECONDS: Final = 60

blueprint = Blueprint("tasks_worker", __name__)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the handlers need to know of the node; ``shut_down`` begins its orderly end."""

    name: str
    started_monotonic: float
    clock: Clock
    settings: Settings
    shut_down: Callable[[], None]


@blueprint.get("/health")
@allow("master.read")
def health() -> Response:
    node = part(NodeFacts)
    head, seq = part(History).witness()
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(node.settings.home))
    return _json(
        Health(
            node=node.name,
            version=__version__,
            time=node.clock.now(),
            head=head,
            seq=seq,
            joined=part(Membership).current() is not None,
            running=part(Spool).running,
            uptime_seconds=round(node.clock.monotonic() - node.started_monotonic, 1),
            load=os.getloadavg(),
            processors=os.cpu_count() or 0,
            memory_bytes=memory.total,
            memory_available_bytes=memory.available,
            disk_bytes=disk.total,
            disk_free_bytes=disk.free,
        )
    )


@blueprint.post("/process_task")
@allow("master.order")
def task_start() -> Response:
    """Take an order, or a plain request for a task, told apart by the order's nonce."""
    if b'"nonce"' in request.get_data() and "nonce" in _members():
        receipt = part(Spool).accept(actor(), _body(Order), audience=part(Membership).audience)
        return _json(receipt, 202)
    wanted = _body(TaskRequest)
    check_limit(wanted.timeout_seconds)
    if wanted.target == MASTER:
        return _hand_to_master(wanted)
    if wanted.target:
        raise Invalid({"target": "The target is “master”, or empty for this worker itself."})
    return _run_here(wanted)


@blueprint.get("/tasks/<order_id>")
@allow("master.read")
def task_status(order_id: str) -> Response:
    return _json(part(Spool).wait(order_id, _wait_seconds()))


@blueprint.get("/tasks/<order_id>/page")
@allow("master.read")
def task_page(order_id: str) -> Response:
    """Return status and further output of both streams in their order of arrival, as MessagePack."""
    seen = Sizes(_whole("out"), _whole("err"))
    page = part(Spool).page(
        order_id,
        _wait_seconds(),
        state=request.args.get("state", ""),
        seen=seen,
        limit_bytes=_PAGE_BYTES,
    )
    return Response(msgspec.msgpack.encode(page), mimetype="application/msgpack")


@blueprint.get("/tasks/<order_id>/output")
@allow("master.read")
def task_output(order_id: str) -> Response:
    """Return bytes of one stream from an offset; headers tell the state and the size so far."""
    stream = _stream()
    start = _whole("from")
    spool = part(Spool)
    status = spool.status(order_id)
    if _wait_seconds() and start >= _size(status.out_bytes, status.err_bytes, stream):
        seen = Sizes(status.out_bytes, status.err_bytes)
        status = spool.wait(order_id, _wait_seconds(), state=status.state, seen=seen)
    content = spool.read(order_id, stream, start, _RANGE_BYTES)
    # An attachment and no HTML, whatever the command has printed.
    response = Response(content, mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = "attachment"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Task-State"] = status.state
    response.headers["X-Task-Bytes"] = str(_size(status.out_bytes, status.err_bytes, stream))
    return response


@blueprint.post("/tasks/<order_id>/cancel")
@allow("master.order")
def task_cancel(order_id: str) -> Response:
    return _json(part(Spool).cancel(actor(), order_id))


@blueprint.post("/join")
@allow("master.order")
def node_join() -> Response:
    wanted = _body(JoinRequest)
    history, membership = part(History), part(Membership)
    detail = {"master_url": wanted.master_url[:300], "master_name": wanted.master_name[:100]}
    with history.action(actor(), "node.join", "node:worker", detail=detail):
        membership.join(wanted)
    history.note_witness(MASTER, wanted.head, wanted.seq)
    head, seq = history.witness()
    return _json(JoinAnswer(node=part(NodeFacts).name, version=__version__, head=head, seq=seq))


@blueprint.post("/revoke")
@allow("master.order")
def node_revoke() -> Response:
    """The master takes no more from this worker: its token here is of no use any more."""
    with part(History).action(actor(), "node.revoke", "node:worker", essential=True):
        part(Membership).leave()
    return _json({"status": "revoked"})


@blueprint.post("/shutdown")
@allow("master.order")
def node_shutdown() -> Response:
    wanted = _body(ShutdownRequest) if request.get_data() else ShutdownRequest()
    detail = {"leave_running": True} if wanted.leave_running else None
    part(History).event(actor(), "node.shutdown", "node:worker", detail=detail, essential=True)
    if wanted.leave_running:
        part(Spool).leave_running()
    part(NodeFacts).shut_down()
    return _json({"status": "stopping"}, 202)


def _run_here(wanted: TaskRequest) -> Response:
    spool, node = part(Spool), part(NodeFacts)
    seconds = _checked_wait(wanted)
    id_ = new_id()
    limit = wanted.timeout_seconds or node.settings.run_timeout_seconds
    order = sealed(
        Order(
            id=id_,
            run=id_,
            host=node.name,
            task=wanted.task,
            deadline=node.clock.now() + timedelta(seconds=limit),
            nonce=new_token(),
            actor=actor().label,
            timeout_seconds=limit,
        )
    )
    receipt = spool.accept(actor(), order)
    status = spool.wait(id_, seconds)
    if not status.is_terminal:
        spool.expect_report(id_)  # not before: what is answered here must not be reported too
        return _json(msgspec.structs.replace(receipt, state=status.state), 202)
    out, err = (spool.tail(id_, stream, _TAIL_BYTES).decode(errors="replace") for stream in Stream)
    return _json(TaskAnswer(status=status, out=out, err=err))


def _hand_to_master(wanted: TaskRequest) -> Response:
    history, node = part(History), part(NodeFacts)
    head, seq = history.witness()
    handed = Handed(
        id=new_id(),
        task=wanted.task,
        deadline=node.clock.now() + timedelta(seconds=_HAND_SECONDS),
        actor=actor().label,
        timeout_seconds=wanted.timeout_seconds,
        head=head,
        seq=seq,
    )
    detail = {"task": msgspec.to_builtins(wanted.task)}
    with history.action(actor(), "task.hand", f"order:{handed.id}", detail=detail) as outcome:
        answer: HandedAnswer = part(MasterCalls).hand(handed)
        outcome |= {"run": answer.run[:64], "state": answer.state[:20]}
    history.note_witness(MASTER, answer.head, answer.seq)
    return _json(answer, 202)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, mimetype="application/json")


def _body(kind: type[S]) -> S:
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        raise Invalid({path.strip(".`") or "body": f"{reason}."}) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid({"body": "This is not valid JSON."}) from error


def _members() -> dict[str, msgspec.Raw]:
    """Return the body's members, or none when it is no JSON object."""
    try:
        return msgspec.json.decode(request.get_data(), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _wait_seconds() -> float:
    return min(_number("wait"), LONGEST_WAIT_SECONDS)


def _checked_wait(wanted: TaskRequest) -> float:
    if not 0 <= wanted.wait_seconds <= LONGEST_WAIT_SECONDS:
        raise Invalid({"wait_seconds": f"This must be from 0 to {LONGEST_WAIT_SECONDS:g}."})
    return wanted.wait_seconds


def _number(name: str) -> float:
    text = request.args.get(name, "0")
    try:
        value = float(text)
    except ValueError as error:
        raise Invalid({name: "This must be a number of seconds."}) from error
    if not 0 <= value < float("inf"):
        raise Invalid({name: "This must be a number of seconds."})
    return value


def _whole(name: str) -> int:
    text = request.args.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise Invalid({name: "This must be a whole number of bytes."})
    return int(text)


def _stream() -> Stream:
    try:
        return Stream(request.args.get("stream", Stream.OUT))
    except ValueError as error:
        raise Invalid({"stream": "The stream is “out” or “err”."}) from error


def _size(out_bytes: int, err_bytes: int, stream: Stream) -> int:
    return out_bytes if stream is Stream.OUT else err_bytes
