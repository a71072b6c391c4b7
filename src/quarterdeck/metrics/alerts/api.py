"""The JSON API of rules and alerts."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from apiflask import APIBlueprint
from pydantic import BaseModel, Field

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import web
from quarterdeck.core.forms import Form
from quarterdeck.metrics.alerts.forms import RuleBody, RulePatch
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rulebook import Rulebook
from quarterdeck.metrics.alerts.rules import AlertLevel, Comparison, Rule, condition_text
from quarterdeck.metrics.alerts.service import Alerts
from quarterdeck.metrics.alerts.store import AlertQuery

blueprint = APIBlueprint("alerts_api", __name__, url_prefix="/api/v1", tag="Alerts")

Json = dict[str, Any]  # Any: JSON


class AlertOut(BaseModel):
    """An alert; ``value`` is the last one, of ``value_at``, in the unit of the figure, or null.

    One that is over has ``ended_at`` and ``ended_why``.
    """

    id: str
    host_id: str
    host: str
    rule_id: str
    rule: str
    level: AlertLevel
    figure: str
    condition: str
    since: datetime
    began_at: datetime
    value: float | None
    value_at: datetime
    ended_at: datetime | None
    ended_why: str
    is_silenced: bool
    has_no_figures: bool


class AlertListOut(BaseModel, title="AlertList"):
    """A page of alerts, newest first; ``next_cursor`` is the ``cursor`` of the next page, or null."""

    alerts: list[AlertOut]
    next_cursor: str | None


class AlertListQuery(Form):
    """Filters: by state, level, and the names of host and rule."""

    state: Literal["", "active", "over"] = ""
    level: Literal["", "warn", "alert"] = ""
    host: str = Field(default="", max_length=63)
    rule: str = Field(default="", max_length=80)
    cursor: str = Field(default="", max_length=26)
    limit: int = Field(default=200, ge=1, le=1000)


class RuleOut(BaseModel):
    """A rule; ``condition`` is what it says in words."""

    id: str
    name: str
    level: AlertLevel
    figure: str
    comparison: Comparison
    threshold: float
    duration_seconds: int
    tag: str
    enabled: bool
    condition: str


class RuleListOut(BaseModel, title="RuleList"):
    rules: list[RuleOut]


@blueprint.get("/alerts")
@web.allow("host.read")
@blueprint.input(AlertListQuery, location="query", arg_name="query")
@blueprint.output(AlertListOut)
@blueprint.doc(summary="List alerts, newest first")
def alert_list(query: AlertListQuery) -> Json:
    asked = AlertQuery(
        active={"active": True, "over": False}.get(query.state),
        level=query.level,
        host=query.host,
        rule=query.rule,
        before=query.cursor,
        limit=query.limit + 1,
    )
    found = web.part(Alerts).list_alerts(asked, bounds_of(web.actor(), "host.read"))
    shown = found[: query.limit]
    cursor = shown[-1].id if len(found) > query.limit else None
    return {"alerts": [alert_json(each) for each in shown], "next_cursor": cursor}


@blueprint.get("/rules")
@web.allow("rule.read")
@blueprint.output(RuleListOut)
@blueprint.doc(summary="List rules by name")
def rule_list() -> Json:
    return {"rules": [rule_json(rule) for rule in _rules().list_rules()]}


@blueprint.post("/rules")
@web.allow("rule.write")
@blueprint.input(RuleBody, arg_name="body")
@blueprint.output(RuleOut, status_code=201)
@blueprint.doc(summary="Add a rule", responses={409: "The name is in use"})
def rule_add(body: RuleBody) -> tuple[Json, int, Mapping[str, str]]:
    rule = _rules().add(web.actor(), body.draft())
    return rule_json(rule), 201, {"Location": f"/api/v1/rules/{rule.id}"}


@blueprint.get("/rules/<rule_id>")
@web.allow("rule.read")
@blueprint.output(RuleOut)
@blueprint.doc(summary="Read a rule")
def rule_show(rule_id: str) -> Json:
    return rule_json(_rules().get(rule_id))


@blueprint.patch("/rules/<rule_id>")
@web.allow("rule.write")
@blueprint.input(RulePatch, arg_name="body")
@blueprint.output(RuleOut)
@blueprint.doc(summary="Change a rule; what is left out stays", responses={409: "The name is in use"})
def rule_change(rule_id: str, body: RulePatch) -> Json:
    return rule_json(_rules().change(web.actor(), rule_id, body.applied_to(_rules().get(rule_id))))


@blueprint.delete("/rules/<rule_id>")
@web.allow("rule.write")
@blueprint.doc(summary="Remove a rule; its alerts end", responses={204: "Removed"})
def rule_remove(rule_id: str) -> tuple[str, int]:
    _rules().remove(web.actor(), rule_id)
    return "", 204


def alert_json(alert: AlertRecord) -> Json:
    """Return an alert as the API tells it."""
    return asdict(alert)


def rule_json(rule: Rule) -> Json:
    """Return a rule as the API tells it."""
    return asdict(rule) | {"condition": condition_text(rule)}


def _rules() -> Rulebook:
    return web.part(Rulebook)
