"""The JSON API of runs; its shapes are fixed points that outside tools rely on."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, Field

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import costs, openapi, web
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form
from quarterdeck.tasks.forms import RunBody, RunListQuery, start_of
from quarterdeck.tasks.idempotency import HEADER, KeyUsed, once
from quarterdeck.tasks.output.answer import Asked, answer_output, stream_named
from quarterdeck.tasks.records import RunHostRecord, RunQuery, RunRecord
from quarterdeck.tasks.service import LONGEST_WAIT_SECONDS, Runs
from quarterdeck.tasks.states import RunState

_KEY: Final = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"}

blueprint = APIBlueprint("runs_api", __name__, url_prefix="/api/v1", tag="Runs")

Json = dict[str, Any]  # Any: JSON


class RunHostOut(BaseModel):
    """What a run did on one host. ``gone``, after a cancel: all is gone, some of it is left, or null."""

    name: str
    kind: str
    state: RunState
    message: str
    exit_status: int | None
    started_at: datetime | None
    finished_at: datetime | None
    bytes: int
    out_bytes: int
    err_bytes: int
    gone: bool | None
    details: Json


class UsualOut(BaseModel, title="UsualDuration"):
    """What the task usually takes on a host, from its own past there."""

    typical_seconds: float
    p95_seconds: float
    runs: int


class RunSummaryOut(BaseModel):
    """A run as lists show it."""

    id: str
    state: RunState
    title: str
    task: Json
    actor: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    host_count: int
    targets: str
    tally: dict[str, int]
    timeout_seconds: int
    options: Json
    reason: str | None
    duplicate_of: str | None


class RunOut(RunSummaryOut):
    """A run with all its hosts. ``usual`` is told when it starts, and when it is asked for."""

    hosts: list[RunHostOut]
    usual: dict[str, UsualOut] | None = None


class RunListOut(BaseModel):
    """A page of runs, newest first; ``next_cursor`` is the ``cursor`` of the next page, or null."""

    runs: list[RunSummaryOut]
    next_cursor: str | None


class WaitQuery(Form):
    """``wait`` answers when the run has ended, or after so many seconds; ``usual`` adds what is usual."""

    wait: Annotated[float, Field(ge=0, le=LONGEST_WAIT_SECONDS)] = 0
    usual: bool = False


class OutputQuery(Form):
    """``host`` may be left out for a run on one host; ``download`` asks for an attachment."""

    host: Annotated[str, Field(max_length=100)] = ""
    stream: Literal["out", "err", "stdout", "stderr"] = "out"
    start: Annotated[int, Field(ge=0, alias="from")] = 0
    download: bool = False


@blueprint.post("/runs")
@web.allow("run.start")
@openapi.reads_header(
    HEADER, "Sent again, it is the same run.", {"type": "string", "minLength": 1, "maxLength": 200}
)
@blueprint.input(RunBody, arg_name="body")
@blueprint.output(RunOut, status_code=201)
@blueprint.doc(summary="Start a run", responses={409: "The same is under way on a host in common"})
def run_start(body: RunBody) -> tuple[Json, int, Mapping[str, str]]:
    """Answers at once. ``force`` with a ``reason`` runs it although the same is under way.

    A request with the header `Idempotency-Key` (1 to 200 visible ASCII characters, kept a day) that is sent
    again is answered with the run that the first one started, as it stands by then, and with the header
    `Idempotent-Replayed: true`. With another body the key is refused.
    """
    runs, key = _runs(), request.headers.get(HEADER)
    sent = once(key, body.model_dump(mode="json")) if key is not None else None
    try:
        run, replayed = runs.start_run(web.actor(), start_of(body), sent), {}
    except KeyUsed as used:
        web.require("run.read", f"run:{used.run_id}")
        run, replayed = runs.get_run(used.run_id), {"Idempotent-Replayed": "true"}
    answer = _run_json(run, with_usual=True)
    return answer, 201, {"Location": f"/api/v1/runs/{run.id}"} | replayed


@blueprint.get("/runs")
@web.allow("run.read")
@blueprint.input(RunListQuery, location="query", arg_name="query")
@blueprint.output(RunListOut)
@blueprint.doc(summary="List runs, newest first")
def run_list(query: RunListQuery) -> Json:
    page = _runs().list_runs(
        RunQuery(
            state=query.state,
            actor=query.actor,
            host=query.host,
            kind=query.kind,
            q=query.q,
            before=query.cursor,
            limit=query.limit,
            within=bounds_of(web.actor(), "run.read"),
        )
    )
    return {"runs": [_summary_json(run) for run in page.runs], "next_cursor": page.next_cursor or None}


@blueprint.get("/runs/<run_id>")
@web.allow("run.read")
@blueprint.input(WaitQuery, location="query", arg_name="query")
@blueprint.output(RunOut)
@blueprint.doc(summary="Read a run, or wait for its end")
def run_show(run_id: str, query: WaitQuery) -> Json:
    web.require("run.read", f"run:{run_id}")
    run = _runs().get_run(run_id)
    if query.wait and not run.is_over:
        runs = _runs()
        web.put_off(lambda: runs.until_end(run_id, query.wait))
    return _run_json(run, with_usual=query.usual)


@blueprint.get("/runs/<run_id>/output")
@web.allow("run.read")
@web.costs(costs.DOWNLOADS)
@openapi.also_answers("text/plain")
@openapi.reads_header("Range", "Bytes of it (RFC 9110, 14.2).", {"type": "string"})
@blueprint.input(OutputQuery, location="query", arg_name="query")
@blueprint.doc(
    summary="Read output: the bytes of one stream of one host",
    responses={200: "The bytes, as text/plain", 206: "A range of them", 416: "There is no such range"},
)
def run_output(run_id: str, query: OutputQuery) -> Response:
    web.require("run.read", f"run:{run_id}")
    host = _host_of(run_id, query.host)
    stream = stream_named(query.stream)
    output = _runs().output
    size = output.sizes(run_id, host.name).of(stream)
    asked = Asked(query.start, request.headers.get("Range", ""))
    name = f"{run_id}-{host.name}.{stream}.txt" if query.download else ""
    return answer_output(output.path(run_id, host.name, stream), size, asked, download=name)


@blueprint.post("/runs/<run_id>/cancel")
@web.allow("run.cancel")
@blueprint.output(RunOut, status_code=202)
@blueprint.doc(summary="Cancel a run; the proof appears per host as `gone`")
def run_cancel(run_id: str) -> Json:
    web.require("run.cancel", f"run:{run_id}")
    return _run_json(_runs().cancel_run(web.actor(), run_id))


def _runs() -> Runs:
    return web.part(Runs)


def _host_of(run_id: str, name: str) -> RunHostRecord:
    """Return the host that is named, or the only one."""
    if name:
        return _runs().get_host(run_id, name)
    run = _runs().get_run(run_id)
    if run.host_count != 1:
        raise Invalid({"host": f"The run has {run.host_count} hosts; name one."})
    return _runs().list_hosts(run_id)[0]


def _summary_json(run: RunRecord) -> Json:
    return {
        "id": run.id,
        "state": run.state,
        "title": run.title,
        "task": msgspec.to_builtins(run.task),
        "actor": run.actor,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "host_count": run.host_count,
        "targets": run.targets,
        "tally": dict(run.tally),
        "timeout_seconds": run.timeout_seconds,
        "options": msgspec.to_builtins(run.options),
        "reason": run.forced_reason,
        "duplicate_of": _readable(run.duplicate_of),
    }


def _readable(run_id: str | None) -> str | None:
    """Return the id of another run as far as the one who asks may read it."""
    return run_id if run_id and web.may("run.read", f"run:{run_id}") else None


def _run_json(run: RunRecord, *, with_usual: bool = False) -> Json:
    hosts = _runs().list_hosts(run.id)
    usual = {"usual": _usual_json(run, hosts)} if with_usual else {}
    return _summary_json(run) | {"hosts": [_host_json(host) for host in hosts]} | usual


def _usual_json(run: RunRecord, hosts: list[RunHostRecord]) -> Json:
    """Return what is usual by the name of the host; hosts without enough of a past are left out."""
    usual = _runs().usual(run, hosts, bounds_of(web.actor(), "run.read"))
    return {host.name: asdict(usual[host.host_id]) for host in hosts if host.host_id in usual}


def _host_json(host: RunHostRecord) -> Json:
    return {
        "name": host.name,
        "kind": host.kind,
        "state": host.state,
        "message": host.message,
        "exit_status": host.exit_status,
        "started_at": host.started_at,
        "finished_at": host.finished_at,
        "bytes": host.bytes,
        "out_bytes": host.out_bytes,
        "err_bytes": host.err_bytes,
        "gone": host.gone,
        "details": dict(host.details),
    }
