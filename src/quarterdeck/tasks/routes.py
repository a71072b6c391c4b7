"""The pages of runs: the list, the form, and a run with its output."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request
from msgspec import to_builtins

from quarterdeck.access.permissions import Within, bounds_of
from quarterdeck.core import web
from quarterdeck.core.config import Settings
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.core.forms import parse
from quarterdeck.core.ui import pages
from quarterdeck.hosts.models import HostKind
from quarterdeck.hosts.service import Hosts
from quarterdeck.protocol.tasks import Task
from quarterdeck.tasks.calls.api_call import METHODS
from quarterdeck.tasks.dispatch.endings import LONG_WITHOUT_PAST_SECONDS
from quarterdeck.tasks.drafts import as_stored
from quarterdeck.tasks.forms import RunListQuery, RunPageQuery, page_values, start_of_page
from quarterdeck.tasks.local.builtins import BUILTINS
from quarterdeck.tasks.option_fields import FIELDS, option_values, options_told
from quarterdeck.tasks.output.log_view import LogView, glance, log_view
from quarterdeck.tasks.past import Usual, usual_words
from quarterdeck.tasks.records import RunHostRecord, RunQuery, RunRecord
from quarterdeck.tasks.results.matrix import Links, matrix, took_long
from quarterdeck.tasks.results.query import ResultForm, result_query
from quarterdeck.tasks.service import Runs
from quarterdeck.tasks.states import RunState

blueprint = Blueprint("runs", __name__, template_folder="templates")

Page = str | Response | tuple[str, int] | Any  # Any: werkzeug's own response of a redirect
KINDS: Final = (("command", "Command"), ("builtin", "Built-in task"), ("call", "API call"))
STATES: Final = ("active", *(str(state) for state in RunState))
_FITTING: Final = {"builtin": (HostKind.WORKER, HostKind.MASTER), "call": (HostKind.WORKER,)}
_EXAMPLES: Final = {
    "command": {"task": {"kind": "command", "command": "uptime"}, "tags": ["web"]},
    "builtin": {"task": {"kind": "builtin", "name": "disk-use"}, "hosts": ["master"]},
    "call": {"task": {"kind": "call", "method": "GET", "url": "/v1/state"}, "tags": ["web"]},
}
"""What the form of each kind shows as the same for the API."""


@blueprint.get("/runs")
@web.allow("run.read")
def run_list() -> Page:
    query = parse(RunListQuery, {key: value for key, value in request.args.items() if value})
    page = web.part(Runs).list_runs(
        RunQuery(
            query.state,
            query.actor,
            query.host,
            query.kind,
            query.q,
            query.cursor,
            within=_within(),
        )
    )
    values = request.args.to_dict()
    older = f"/runs?{urlencode(values | {'cursor': page.next_cursor})}" if page.next_cursor else ""
    is_part = "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers
    return render_template(
        "tasks/_rows.html" if is_part else "tasks/run_list.html",
        runs=page.runs,
        values=values,
        is_filtered=any(value for key, value in values.items() if key != "cursor"),
        newest_url=_without_cursor(values) if query.cursor else "",
        older_url=older,
        states=STATES,
        kinds=KINDS,
    )


@blueprint.get("/runs/new")
@web.allow("run.start")
def run_new() -> Page:
    values: dict[str, Any] = {"kind": request.args.get("kind", "command"), "url": request.args.get("url", "")}
    usual: list[Usual] = []
    chosen, tags = request.args.getlist("host"), request.args.getlist("tag")
    if again := request.args.get("again"):
        web.require("run.read", f"run:{again}")
        run = web.part(Runs).get_run(again)
        values |= (
            page_values(run.task) | {"timeout_seconds": run.timeout_seconds} | option_values(run.options)
        )
        chosen = chosen or _hosts_again(run)
        usual = _usual_on(run, chosen)
        if any(each.typical_seconds > LONG_WITHOUT_PAST_SECONDS for each in usual):
            values["keep_running"] = "true"
    values |= {"hosts": chosen, "tags": tags}
    return _form(values, {}, usual=usual_words(usual))


@blueprint.post("/runs")
@web.allow("run.start")
def run_start() -> Page:
    hosts, tags = request.form.getlist("hosts"), request.form.getlist("tags")
    values = request.form.to_dict() | {"hosts": hosts, "tags": tags}
    try:
        run = web.part(Runs).start_run(web.actor(), start_of_page(request.form.to_dict(), hosts, tags))
    except Invalid as error:
        return _form(values, error.fields), 422
    except Conflict as error:
        return _form(values, {}, conflict=error), 409
    return redirect(f"/runs/{run.id}#output", 303)


@blueprint.get("/runs/<run_id>")
@web.allow("run.read")
def run_show(run_id: str) -> Page:
    web.require("run.read", f"run:{run_id}")
    query = parse(RunPageQuery, {key: value for key, value in request.args.items() if value})
    run = web.part(Runs).get_run(run_id)
    standing = _standing(run, query)
    shown = standing["matrix"].glances if standing["matrix"] else standing["hosts"]
    return render_template("tasks/run.html", logs=_logs(run, shown, query), curl=_curl(run), **standing)


@blueprint.get("/runs/<run_id>/standing")
@web.allow("run.read")
def run_standing(run_id: str) -> Page:
    """The part of the page that changes with the run's states."""
    web.require("run.read", f"run:{run_id}")
    query = parse(
        RunPageQuery, {key: value for key, value in request.args.items() if value and key != "shown"}
    )
    run, names = web.part(Runs).get_run(run_id), set(request.args.getlist("shown"))
    shown = [host for host in web.part(Runs).list_hosts(run.id) if host.name in names] if names else []
    return render_template("tasks/_standing.html", **_standing(run, query) | {"shown": shown})


@blueprint.post("/runs/<run_id>/cancel")
@web.allow("run.cancel")
def run_cancel(run_id: str) -> Page:
    web.require("run.cancel", f"run:{run_id}")
    web.part(Runs).cancel_run(web.actor(), run_id)
    return redirect(f"/runs/{run_id}#output", 303)


def _within() -> Within:
    """Return what the one who asks gets at."""
    return bounds_of(web.actor(), "run.read")


def _form(
    values: dict[str, Any], errors: dict[str, str], conflict: Conflict | None = None, usual: str = ""
) -> str:
    book = web.part(Hosts)
    hosts = book.list_hosts(within=bounds_of(web.actor(), "run.start"))
    if values.get("kind") not in dict(KINDS):
        raise NotFound("There is no such kind of task.")
    fitting = _FITTING.get(values["kind"], tuple(HostKind))
    hosts = [host for host in hosts if host.kind in fitting]
    return render_template(
        "tasks/run_new.html",
        values=values,
        errors=errors,
        conflict=_conflict_values(conflict) if conflict else None,
        hosts=hosts,
        tags=sorted({tag for host in hosts for tag in host.tags}),
        kinds=KINDS,
        example=_EXAMPLES[values["kind"]],
        limit_seconds=web.part(Settings).run_timeout_seconds,
        connect_limit=f"{web.part(Settings).ssh_connect_seconds} s",
        options_told=options_told(values),
        options_open=any(name in errors for name in FIELDS),
        usual=usual,
        method_options=[(method, method) for method in METHODS],
        builtins=BUILTINS,
        bases=book.bases.list_bases() if values["kind"] == "call" and web.may("base.read") else [],
        keep=urlencode(
            [("host", name) for name in values["hosts"]] + [("tag", tag) for tag in values["tags"]]
        ),
    )


def _conflict_values(conflict: Conflict) -> dict[str, Any]:  # Any: what the template takes
    started_at = conflict.extra["started_at"]
    return conflict.extra | {"started_at": datetime.fromisoformat(started_at) if started_at else None}


def _usual_on(run: RunRecord, names: Sequence[str]) -> list[Usual]:
    """Return what a run's task usually takes on those of its hosts."""
    runs, wanted = web.part(Runs), set(names)
    hosts = [host for host in runs.list_hosts(run.id) if host.name in wanted]
    return list(runs.usual_by_now(run, hosts, _within()).values())


def _standing(run: RunRecord, query: RunPageQuery) -> dict[str, Any]:
    """Return what the changing part of the page shows: one host with its facts, or the matrix of many."""
    runs = web.part(Runs)
    shown = None if query.host or run.host_count == 1 else matrix(runs.results, run, query, _within())
    hosts = _one_host(run, query) if shown is None else list(shown.hosts)
    if shown is not None and shown.view == "table":
        hosts = [runs.as_far(run.id, host) for host in hosts]
    usual = runs.usual(run, hosts, _within())
    return {
        "run": run,
        "hosts": hosts,
        "shown": [],
        "query": query,
        "page_query": urlencode([pair for pair in request.args.items(multi=True) if pair[0] != "shown"]),
        "matrix": shown,
        "link": Links(run.id, query),
        "before": runs.results.before(run, _within()) if shown is None and hosts[0].is_over else {},
        "usual": usual,
        "took_long": took_long,
        "usual_seconds": max((each.typical_seconds for each in usual.values()), default=None),
        "p95_seconds": max((each.p95_seconds for each in usual.values()), default=None),
        "is_long": runs.is_long(run, usual),
        "task_text": _task_text(run.task),
    }


def _one_host(run: RunRecord, query: RunPageQuery) -> list[RunHostRecord]:
    runs = web.part(Runs)
    return [runs.get_host(run.id, query.host)] if query.host else runs.list_hosts(run.id)


def _logs(run: RunRecord, hosts: Sequence[RunHostRecord], query: RunPageQuery) -> list[LogView]:
    """Return the output of the hosts shown: whole for one, a glance at each of several."""
    output = web.part(Runs).output
    if query.host or run.host_count == 1:
        return [log_view(output, run, hosts[0], query)]
    return [glance(output, run, host, query) for host in hosts]


def _task_text(task: Task) -> str:
    """Return the task as it was given, over several lines where it has them."""
    values = page_values(task)
    if values["kind"] == "command":
        return values["command"].strip()
    if values["kind"] == "builtin":
        arguments = [f"{name.partition('.')[2]}={value}" for name, value in values.items() if "." in name]
        return " ".join([values["name"], *arguments])
    head = f"{values['method']} {values['url']}"
    return "\n".join(filter(None, (head, values["headers"], values["body"][:2000])))


def _curl(run: RunRecord) -> str:
    body = {
        "task": as_stored(run.task),
        "hosts": [host.name for host in web.part(Runs).list_hosts(run.id, limit=10)],
        "timeout_seconds": run.timeout_seconds,
    }
    if options := to_builtins(run.options):
        body["options"] = options
    return pages.api_call("POST", "/runs", body)


def _hosts_again(run: RunRecord) -> list[str]:
    """Return the hosts of a run that fit the filters in the address; none when they were to be chosen."""
    if "chosen" in request.args:
        return []
    filters = {
        name: value for name, value in request.args.items() if name in ResultForm.model_fields and value
    }
    selection = web.part(Runs).results.select(run, result_query(parse(ResultForm, filters), _within()))
    return [host.name for host in selection.hosts]


def _without_cursor(values: dict[str, str]) -> str:
    rest = {key: value for key, value in values.items() if value and key != "cursor"}
    return f"/runs?{urlencode(rest)}" if rest else "/runs"
