"""The pages of alerts and of rules."""

from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request

from quarterdeck.access.permissions import Within, bounds_of
from quarterdeck.core import web
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.core.ui.guard import FIELD
from quarterdeck.metrics.alerts.forms import read_rule_form, values_of
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rulebook import Rulebook
from quarterdeck.metrics.alerts.rules import CHOICES, AlertLevel, Comparison, Rule, condition_text, value_text
from quarterdeck.metrics.alerts.service import Alerts
from quarterdeck.metrics.alerts.store import AlertQuery

blueprint = Blueprint("alerts", __name__, template_folder="../templates")

PAGE_SIZE: Final = 50
MOST_ACTIVE: Final = 500
"""So many active alerts stand on the page; the filters lead to the others."""
_FILTERS: Final = ("level", "host", "rule")

Page = str | tuple[str, int]
Answer = Page | Any  # Any: werkzeug's own response of a redirect


@blueprint.get("/fleet/alerts")
@web.allow("host.read")
def alert_list() -> Page:
    """Show what is wrong now, and below what was; the filters' own requests get the lists alone."""
    template = "metrics/_alerts.html" if "HX-Request" in request.headers else "metrics/alert_list.html"
    return render_template(template, **_alerts_context())


@blueprint.get("/fleet/alerts/rows")
@web.allow("host.read")
def alert_rows() -> Page:
    return render_template("metrics/_alerts.html", **_alerts_context())


@blueprint.get("/fleet/rules")
@web.allow("rule.read")
def rule_list() -> Page:
    return render_template("metrics/rule_list.html", rules=_rules().list_rules(), condition=condition_text)


@blueprint.get("/fleet/rules/new")
@web.allow("rule.write")
def rule_new() -> Page:
    return _form_page(None, {"enabled": "true", "minutes": "5"}, {})


@blueprint.post("/fleet/rules/new")
@web.allow("rule.write")
def rule_add() -> Answer:
    values = _form_values()
    try:
        _rules().add(web.actor(), read_rule_form(values))
    except (Invalid, Conflict) as error:
        return _form_page(None, values, _messages(error)), error.status
    return redirect("/fleet/rules", 303)


@blueprint.get("/fleet/rules/<rule_id>/edit")
@web.allow("rule.write")
def rule_edit(rule_id: str) -> Page:
    rule = _rules().get(rule_id)
    return _form_page(rule, values_of(rule), {})


@blueprint.post("/fleet/rules/<rule_id>/edit")
@web.allow("rule.write")
def rule_change(rule_id: str) -> Answer:
    rule, values = _rules().get(rule_id), _form_values()
    try:
        _rules().change(web.actor(), rule_id, read_rule_form(values))
    except (Invalid, Conflict) as error:
        return _form_page(rule, values, _messages(error)), error.status
    return redirect("/fleet/rules", 303)


@blueprint.post("/fleet/rules/<rule_id>/switch")
@web.allow("rule.write")
def rule_switch(rule_id: str) -> Answer:
    _rules().switch(web.actor(), rule_id, enabled=request.form.get("enabled") == "true")
    return redirect("/fleet/rules", 303)


@blueprint.get("/fleet/rules/<rule_id>/remove")
@web.allow("rule.write")
def rule_remove_ask(rule_id: str) -> Page:
    rule = _rules().get(rule_id)
    return render_template("metrics/rule_remove.html", rule=rule, condition=condition_text(rule))


@blueprint.post("/fleet/rules/<rule_id>/remove")
@web.allow("rule.write")
def rule_remove(rule_id: str) -> Answer:
    _rules().remove(web.actor(), rule_id)
    return redirect("/fleet/rules", 303)


def _rules() -> Rulebook:
    return web.part(Rulebook)


def _form_values() -> dict[str, str]:
    return {name: text for name, text in request.form.items() if name != FIELD}


def _messages(error: Invalid | Conflict) -> dict[str, str]:
    """Return what to say beside which field of the page."""
    if isinstance(error, Conflict):
        return dict(error.extra.get("errors") or {"name": error.message})
    return {("minutes" if name == "duration_seconds" else name): text for name, text in error.fields.items()}


def _form_page(rule: Rule | None, values: dict[str, str], errors: dict[str, str]) -> str:
    return render_template(
        "metrics/rule_edit.html" if rule else "metrics/rule_new.html",
        rule=rule,
        values=values,
        errors=errors,
        figures=[("", "Choose …"), *CHOICES.items()],
        levels=[(each.value, each.value) for each in AlertLevel],
        comparisons=[(each.value, each.value) for each in Comparison],
    )


def _alerts_context() -> dict[str, Any]:  # Any: what the template takes
    filters, within = _filters(), bounds_of(web.actor(), "host.read")
    asked = AlertQuery(level=filters["level"], host=filters["host"], rule=filters["rule"])
    active = _found(replace(asked, active=True, limit=MOST_ACTIVE), within)
    before = request.args.get("before", "")[:26].replace("\0", "")
    past = _found(replace(asked, active=False, before=before, limit=PAGE_SIZE + 1), within)
    loud = sorted(
        (each for each in active if not each.is_silenced), key=lambda each: each.level is AlertLevel.WARN
    )
    return {
        "loud": loud,
        "silenced": [each for each in active if each.is_silenced],
        "past": past[:PAGE_SIZE],
        "filters": filters,
        "is_filtered": any(filters.values()),
        "is_limited": within is not None,
        "rows_url": f"/fleet/alerts/rows?{request.query_string.decode()}",
        "newest_url": _url(filters) if before else "",
        "older_url": _url(filters | {"before": past[PAGE_SIZE - 1].id}) if len(past) > PAGE_SIZE else "",
        "level_options": [("", "Any"), *((each.value, each.value) for each in AlertLevel)],
        "value_text": value_text,
    }


def _found(query: AlertQuery, within: Within) -> list[AlertRecord]:
    return web.part(Alerts).list_alerts(query, within)


def _filters() -> dict[str, str]:
    """Return the filters of the address; a level that there is not is left out rather than refused."""
    values = {name: request.args.get(name, "").strip()[:80].replace("\0", "") for name in _FILTERS}
    return values | {"level": values["level"] if values["level"] in set(AlertLevel) else ""}


def _url(values: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in values.items() if value})
    return f"/fleet/alerts?{query}" if query else "/fleet/alerts"
