"""Silences on the command line: on a home, or over the API of a master."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from quarterdeck.core.errors import Invalid
from quarterdeck.core.zones import in_zone
from quarterdeck.hosts.commands import Node
from quarterdeck.hosts.models import SilencePhase
from quarterdeck.hosts.silences import USUAL, SilenceDraft

_SPAN: Final = re.compile(r"([0-9]{1,5})\s*(min|h|d)")
_UNITS: Final = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@click.group()
def silence() -> None:
    """Work on hosts without ringing anybody: no message of their states and alerts meanwhile."""


@silence.command("add")
@click.option("--host", default="", help="The host to silence.")
@click.option("--tag", default="", help="Or: all hosts with this tag, also those that get it later.")
@click.option("--for", "span", default="", metavar="TIME", help="How long: 30 min, 2 h, 3 d.  [2 h]")
@click.option("--from", "begins", default="", metavar="TIME", help="When it begins, in UTC.  [now]")
@click.option("--until", "ends", default="", metavar="TIME", help="When it ends, instead of --for.")
@click.option("--reason", required=True, help="Why, for whoever looks at it in the night.")
@click.pass_obj
def add(node: Node, /, host: str, tag: str, span: str, begins: str, ends: str, reason: str) -> None:
    """Silence a host or a tag."""
    if span and ends:
        raise click.UsageError("Give --for or --until, not both.")
    begins_at = _moment("--from", begins)
    ends_at = _moment("--until", ends)
    if span:
        ends_at = (begins_at or datetime.now(UTC)) + _length(span)
    made = node.hosts.silences.add(node.actor, SilenceDraft(host, tag, reason, begins_at, ends_at))
    click.echo(f"{made.of} is silenced until {made.ends_at:%Y-%m-%d %H:%M} UTC: {made.id}")


@silence.command("list")
@click.option("--all", "with_over", is_flag=True, help="Also those that are over.")
@click.pass_obj
def list_(node: Node, with_over: bool) -> None:
    """List the silences that go on or are to come."""
    phases = () if with_over else (SilencePhase.ACTIVE, SilencePhase.PLANNED)
    now = datetime.now(UTC)
    for each in node.hosts.silences.select(phases):
        times = f"{each.begins_at:%Y-%m-%d %H:%M} to {each.ends_at:%Y-%m-%d %H:%M} UTC"
        click.echo(
            f"{each.id}  {each.of:<28} {each.phase(now):<8} {times}  {each.reason} ({each.created_by})"
        )


@silence.command("end")
@click.argument("silence_id", metavar="ID")
@click.pass_obj
def end(node: Node, silence_id: str) -> None:
    """End a silence now."""
    ended = node.hosts.silences.end(node.actor, silence_id)
    click.echo(f"The silence of {ended.of} is over.")


def _moment(option: str, text: str) -> datetime | None:
    try:
        return in_zone(datetime.fromisoformat(text), UTC) if text else None
    except (ValueError, OverflowError) as error:
        raise Invalid({option: "Write a time such as 2030-01-31T18:00."}) from error


def _length(text: str) -> timedelta:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise Invalid({"--for": f"Write a time such as 30 min, {USUAL.seconds // 3600} h or 3 d."})
    return int(found[1]) * _UNITS[found[2]]
