"""The results of a run for programs."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from quarterdeck.core import web
from quarterdeck.tasks.result_answers import Format, answer_results
from quarterdeck.tasks.result_query import ResultForm

blueprint = APIBlueprint("run_results_api", __name__, url_prefix="/api/v1", tag="Runs")


class ResultsQuery(ResultForm):
    """The filters of the page, and the format."""

    format: Format = Field("json", description="csv or json, one row a host")


@blueprint.get("/runs/<run_id>/results")
@web.allow("run.read")
@blueprint.input(ResultsQuery, location="query", arg_name="query")
@blueprint.doc(
    summary="Read the results of a run: one row a host", responses={200: "An array, or CSV with names first"}
)
def run_results(run_id: str, query: ResultsQuery) -> Response | Any:  # Any: APIFlask's own
    """Says how it ended on each host, how long it took, and the sizes and hashes of both streams."""
    return answer_results(run_id, query, query.format, download=False)
