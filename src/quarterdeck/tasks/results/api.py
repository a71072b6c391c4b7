"""The results of a run for programs."""

from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, Field

from quarterdeck.core import costs, openapi, web
from quarterdeck.tasks.results.answers import Format, answer_results
from quarterdeck.tasks.results.query import ResultForm
from quarterdeck.tasks.states import RunState

blueprint = APIBlueprint("run_results_api", __name__, url_prefix="/api/v1", tag="Runs")


class ResultsQuery(ResultForm):
    """The filters of the page, and the format."""

    format: Format = Field("json", description="csv or json, one row a host")


class ResultOut(BaseModel):
    """How a run ended on one host; hashes are SHA-256 of what it printed."""

    run: str
    host: str
    kind: str
    state: RunState
    exit_status: int | None
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    out_bytes: int
    err_bytes: int
    out_hash: str
    err_hash: str
    gone: bool | None
    message: str


@blueprint.get("/runs/<run_id>/results")
@web.allow("run.read")
@web.costs(costs.SEARCHES)
@openapi.also_answers("application/json", "text/csv")
@blueprint.input(ResultsQuery, location="query", arg_name="query")
@blueprint.output(list[ResultOut], description="An array, or CSV with names first")  # type: ignore[arg-type]  # lists are taken too
@blueprint.doc(summary="Read the results of a run: one row a host")
def run_results(run_id: str, query: ResultsQuery) -> Response | Any:  # Any: APIFlask's own
    """Says how it ended on each host, how long it took, and the sizes and hashes of both streams."""
    return answer_results(run_id, query, query.format, download=False)
