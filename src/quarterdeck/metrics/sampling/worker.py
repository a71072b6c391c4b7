"""What a worker answers its master of sampling: to do it often for a while, and which processes use most."""

import math
from typing import Final

import msgspec
from flask import Blueprint, Response, request

from quarterdeck.core.errors import Invalid
from quarterdeck.core.web import allow, part
from quarterdeck.metrics.sampling.node_sampling import NodeSampling
from quarterdeck.metrics.sampling.processes import Order
from quarterdeck.protocol.samples import Watching

blueprint = Blueprint("metrics_worker", __name__)

_LONGEST_SECONDS: Final = 3600


@blueprint.post("/sampling")
@allow("master.order")
def sampling() -> Response:
    """Sample as often as the master asks, for as long; it says so again while somebody looks."""
    try:
        watching = msgspec.json.decode(request.get_data(), type=Watching)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid({"body": f"This does not say how often to sample: {error}"}) from error
    for name in ("interval_seconds", "for_seconds"):
        value = getattr(watching, name)
        if not math.isfinite(value) or not 0 < value <= _LONGEST_SECONDS:
            raise Invalid({name: f"This must be more than 0 and at most {_LONGEST_SECONDS}."})
    part(NodeSampling).watch(watching)
    return Response(status=204)


@blueprint.get("/processes")
@allow("master.read")
def processes() -> Response:
    """Return the processes that use most, by ``order``: cpu (as it is without) or memory."""
    try:
        order = Order(request.args.get("order", Order.CPU))
    except ValueError as error:
        raise Invalid({"order": "The order is “cpu” or “memory”."}) from error
    return Response(msgspec.json.encode(part(NodeSampling).processes.top(order)), mimetype="application/json")
