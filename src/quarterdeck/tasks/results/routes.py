"""The pages of results: the difference between two outputs, and the results of a run as files."""

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from flask import Blueprint, Response, render_template, request
from pydantic import Field

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import costs, web
from quarterdeck.core.errors import NotFound
from quarterdeck.core.forms import Form, parse
from quarterdeck.tasks.records import RunHostRecord, RunRecord
from quarterdeck.tasks.results.answers import answer_results
from quarterdeck.tasks.results.comparing import Compared, Side
from quarterdeck.tasks.results.differences import MOST_BYTES, MOST_LINES
from quarterdeck.tasks.results.folding import Ignored, own_names
from quarterdeck.tasks.results.query import ResultForm, ResultQuery
from quarterdeck.tasks.service import Runs

blueprint = Blueprint("run_results", __name__, template_folder="templates")

_NOTHING_USUAL: Final = "No two hosts ended alike, so there is nothing usual to compare with."
_NOTHING_BEFORE: Final = "This task had not ended on this host before; there is nothing to compare with."


class DifferenceQuery(Form):
    """What is compared: a host's output with the usual of its run, or with its own of the run before."""

    host: Annotated[str, Field(min_length=1, max_length=100)]
    to: Literal["before", "usual"] = "before"
    view: Literal["unified", "side"] = "unified"
    space: bool = False
    """White space does not count."""
    names: bool = False
    numbers: bool = False

    @property
    def ignored(self) -> Ignored:
        return Ignored(self.names, self.numbers)


@blueprint.get("/runs/<run_id>/results.csv")
@web.allow("run.read")
@web.costs(costs.SEARCHES)
def run_results_csv(run_id: str) -> Response:
    return answer_results(run_id, _filters(), "csv", download=True)


@blueprint.get("/runs/<run_id>/results.json")
@web.allow("run.read")
@web.costs(costs.SEARCHES)
def run_results_json(run_id: str) -> Response:
    return answer_results(run_id, _filters(), "json", download=True)


@blueprint.get("/runs/<run_id>/difference")
@web.allow("run.read")
@web.costs(costs.SEARCHES)
def run_difference(run_id: str) -> str:
    """Show how a host's output differs from what it is compared with."""
    web.require("run.read", f"run:{run_id}")
    query = parse(DifferenceQuery, _asked())
    run = web.part(Runs).get_run(run_id)
    host = web.part(Runs).get_host(run_id, query.host)
    other_run, other = _other(run, host, query)
    found = web.part(Runs).comparing.compare(
        _side(other_run.id, other),
        _side(run.id, host),
        ignored=query.ignored,
        ignores_space=query.space,
    )
    return render_template(
        "tasks/difference.html",
        run=run,
        host=host,
        other_run=other_run,
        other=other,
        query=query,
        found=found,
        page_query=_page_query,
        nothing_of=_nothing_of,
        most_lines=MOST_LINES,
        most_bytes=MOST_BYTES,
    )


def _other(run: RunRecord, host: RunHostRecord, query: DifferenceQuery) -> tuple[RunRecord, RunHostRecord]:
    """Return what a host is compared with; raises NotFound when there is nothing."""
    runs = web.part(Runs)
    if query.to == "before":
        before = runs.results.before(run, bounds_of(web.actor(), "run.read")).get(host.host_id)
        if before is None:
            raise NotFound(_NOTHING_BEFORE)
        return runs.get_run(before.run_id), before.host
    usual = runs.results.select(run, ResultQuery(ignored=query.ignored)).folding.usual
    if usual is None:
        raise NotFound(_NOTHING_USUAL)
    return run, usual.first


def _side(run_id: str, host: RunHostRecord) -> Side:
    address = web.part(Runs).addresses().get(host.host_id, "")
    return Side(run_id, host, own_names(host.name, address))


def _page_query(**changes: str | bool) -> str:
    """Return the query of the page with these changes."""
    values = _asked() | {name: "true" if value is True else value for name, value in changes.items()}
    return urlencode({name: value for name, value in values.items() if value})


def _nothing_of(compared: Compared, query: DifferenceQuery) -> str:
    """Return what is said of outputs whose lines don't differ."""
    if compared.is_equal:
        return "No difference: not a byte of it changed."
    if compared.difference.is_cut:
        return "No difference in what was compared; there is more, and it differs."
    if query.ignored or query.space:
        return "No difference but in what is ignored."
    return "No difference in the text; only colours, line ends or control characters changed."


def _filters() -> ResultForm:
    return parse(ResultForm, _asked())


def _asked() -> dict[str, Any]:  # Any: text, which the form makes something of
    return {key: value for key, value in request.args.items() if value}
