"""``quarterdeck alert`` and ``quarterdeck rule``: what is wrong, and when what rings."""

from typing import Protocol

import click

from quarterdeck.metrics.alerts.book import AlertBook, RuleBook
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rules import AlertLevel, condition_text, value_text
from quarterdeck.metrics.alerts.store import AlertQuery


class Node(Protocol):
    """What these commands need of the node whose home they work on, or of a master's API."""

    @property
    def alert_log(self) -> AlertBook: ...
    @property
    def rules(self) -> RuleBook: ...


@click.group()
def alert() -> None:
    """What is wrong with the fleet, and what was."""


@alert.command("list")
@click.option("--past", is_flag=True, help="Those that are over, instead of the active ones.")
@click.option("--level", type=click.Choice([level.value for level in AlertLevel]), default=None)
@click.option("--host", default="", help="Only this host's.")
@click.option("--rule", default="", help="Only of the rule of this name.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.pass_obj
def alert_list(node: Node, past: bool, level: str | None, host: str, rule: str, limit: int) -> None:
    """List alerts, newest first: level, host, rule, value, since when, and a note, apart by tabs."""
    query = AlertQuery(active=not past, level=level or "", host=host, rule=rule, limit=limit)
    for each in node.alert_log.list_alerts(query):
        since = f"{each.since:%Y-%m-%d %H:%M:%SZ}"
        value = value_text(each.figure, each.value)
        click.echo("\t".join((each.level, each.host, each.rule, value, since, _note(each))).rstrip())


@click.group()
def rule() -> None:
    """When the figures of a host ring an alert."""


@rule.command("list")
@click.pass_obj
def rule_list(node: Node) -> None:
    """List rules: level, name, when it rings, on which tag, and whether it is off, apart by tabs."""
    for each in node.rules.list_rules():
        parts = (each.level, each.name, condition_text(each), each.tag or "all hosts")
        click.echo("\t".join((*parts, "" if each.enabled else "off")).rstrip())


def _note(alert: AlertRecord) -> str:
    if alert.ended_at is not None:
        return f"over {alert.ended_at:%Y-%m-%d %H:%M:%SZ}: {alert.ended_why}"
    if alert.has_no_figures:
        return f"no figures since {alert.value_at:%Y-%m-%d %H:%M:%SZ}"
    return "silenced" if alert.is_silenced else ""
