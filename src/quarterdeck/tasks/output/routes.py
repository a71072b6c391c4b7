"""The output of runs for pages that are open: lines by number, finding, the first error, downloads."""

from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, redirect, request

from quarterdeck.core import costs, web
from quarterdeck.core.forms import parse
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.answer import Asked, answer_output, stream_named
from quarterdeck.tasks.output.find import Finder, Needle
from quarterdeck.tasks.output.forms import ErrorQuery, FindQuery, LinesQuery
from quarterdeck.tasks.output.log_view import lines_asked
from quarterdeck.tasks.service import Runs

blueprint = Blueprint("run_output", __name__)

Page = Response | Any  # Any: werkzeug's own response of a redirect
NO_ERROR: Final = "none"
"""What the page is told in ``error`` when no line looks like one."""


@blueprint.get("/runs/<run_id>/lines")
@web.allow("run.read")
def run_lines(run_id: str) -> Page:
    """Lines of one host's output by their numbers, as JSON."""
    web.require("run.read", f"run:{run_id}")
    query = parse(LinesQuery, _given())
    runs = web.part(Runs)
    return jsonify(lines_asked(runs.output, runs.get_run(run_id), runs.get_host(run_id, query.host), query))


@blueprint.get("/runs/<run_id>/find")
@web.allow("run.read")
@web.costs(costs.SEARCHES)
def run_find(run_id: str) -> Page:
    """The numbers of the lines that hold a text, as JSON; ``next`` is where to go on."""
    web.require("run.read", f"run:{run_id}")
    query = parse(FindQuery, _given())
    found = _finder(run_id, query.host, query.stream).find(Needle(query.q, query.case), query.start)
    return jsonify({"lines": found.lines, "next": found.next})


@blueprint.get("/runs/<run_id>/first-error")
@web.allow("run.read")
@web.costs(costs.SEARCHES)
def run_first_error(run_id: str) -> Page:
    """Lead to the first line that looks like an error; looks on by leading to itself when it takes long."""
    web.require("run.read", f"run:{run_id}")
    query = parse(ErrorQuery, _given())
    found = _finder(run_id, query.host, query.stream).first_error(query.start)
    line = found.lines[0] if found.lines else None
    if web.wants_json():
        return jsonify({"line": line, "next": found.next})
    switches = {name: value for name, value in query.model_dump().items() if value and name != "start"}
    if found.next:
        return redirect(f"/runs/{run_id}/first-error?{urlencode(switches | {'from': found.next})}", 303)
    if line is None:
        return redirect(f"/runs/{run_id}?{urlencode(switches | {'error': NO_ERROR})}#output", 303)
    return redirect(f"/runs/{run_id}?{urlencode(switches | {'line': line})}#L{line}", 303)


@blueprint.get("/runs/<run_id>/output")
@web.allow("run.read")
@web.costs(costs.DOWNLOADS)
def run_output(run_id: str) -> Response:
    """One stream of one host, as it was printed, to be kept as a file."""
    web.require("run.read", f"run:{run_id}")
    host = web.part(Runs).get_host(run_id, request.args.get("host", ""))
    stream = stream_named(request.args.get("stream", "out"))
    output = web.part(Runs).output
    asked = Asked(range_header=request.headers.get("Range", ""))
    size = output.sizes(run_id, host.name).of(stream)
    name = f"{run_id}-{host.name}.{stream}.txt"
    return answer_output(output.path(run_id, host.name, stream), size, asked, download=name)


def _finder(run_id: str, host_name: str, stream: str) -> Finder:
    runs = web.part(Runs)
    host = runs.get_host(run_id, host_name)
    return Finder(runs.output, run_id, host.name, Stream(stream) if stream else None)


def _given() -> dict[str, str]:
    return {name: value for name, value in request.args.items() if value}
