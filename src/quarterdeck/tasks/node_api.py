"""What workers ask of their master: to run a task that they hand over, and to take a late result."""

from typing import TypeVar

import msgspec
from flask import Blueprint, Response, request

from quarterdeck.core import web
from quarterdeck.core.errors import Invalid, Unauthenticated
from quarterdeck.history.service import History
from quarterdeck.hosts.models import HostRecord
from quarterdeck.hosts.service import Hosts
from quarterdeck.protocol.orders import Handed, HandedAnswer, OrderStatus
from quarterdeck.tasks.service import Runs

blueprint = Blueprint("runs_nodes", __name__)

Message = TypeVar("Message")
_PATIENCE_SECONDS = 2.0
"""A quick task is answered with its end; a longer one at once, and is asked for again."""


@blueprint.post("/tasks/process")
@web.allow("worker.hand")
def task_process() -> Response:
    """Run a task on the master itself; handed again, it is answered with the first one's state."""
    worker = _worker()
    handed = _read(Handed)
    history = web.part(History)
    history.note_witness(worker.name, handed.head, handed.seq)
    run = web.part(Runs).start_handed(web.actor(), worker, handed)
    run = web.part(Runs).wait(run.id, _PATIENCE_SECONDS)
    head, seq = history.witness()
    answer = HandedAnswer(id=handed.id, run=run.id, state=str(run.state), head=head, seq=seq)
    return _answer(answer)


@blueprint.post("/tasks/result")
@web.allow("worker.report")
def task_result() -> Response:
    """Take what a worker says of an order by itself: that it has ended."""
    worker = _worker()
    status = _read(OrderStatus)
    history = web.part(History)
    history.note_witness(worker.name, status.head, status.seq)
    web.part(Runs).take_late_result(web.actor(), worker, status)
    return Response(status=204)


def _worker() -> HostRecord:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    worker = web.part(Hosts).worker_by_token(token) if token else None
    if worker is None:
        raise Unauthenticated("Only a worker that has joined this master may send this.")
    return worker


def _read(kind: type[Message]) -> Message:
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid({"body": f"This is not a message of a worker: {error}"}) from error


def _answer(message: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(message), mimetype="application/json")
