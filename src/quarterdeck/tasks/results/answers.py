"""The answers with a run's results that pages and the JSON API share."""

from typing import Final, Literal

from flask import Response

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import web
from quarterdeck.tasks.results.export import as_csv, as_json, rows_of
from quarterdeck.tasks.results.query import ResultForm, result_query
from quarterdeck.tasks.service import Runs

Format = Literal["csv", "json"]
_TYPES: Final = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def answer_results(run_id: str, filters: ResultForm, form: Format, *, download: bool) -> Response:
    """Answer the results of the hosts that fit, as a file or as a body; raises NotFound."""
    web.require("run.read", f"run:{run_id}")
    runs = web.part(Runs)
    run = runs.get_run(run_id)
    rows = rows_of(
        run, runs.results.select(run, result_query(filters, bounds_of(web.actor(), "run.read"))).hosts
    )
    content: str | bytes = as_csv(rows) if form == "csv" else as_json(rows)
    response = Response(content, content_type=_TYPES[form])
    response.headers["X-Content-Type-Options"] = "nosniff"
    if download:
        name = f"run-{run.id}-results.{form}"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
