"""``quarterdeck history``: read, prove, index and export; on a home it works beside a running master."""

import sys
from collections.abc import Callable
from itertools import islice
from typing import Any, Protocol, TypeVar

import click
import msgspec

from quarterdeck.core.command_line import at_home_only, is_remote
from quarterdeck.history.book import HistoryBook, HomeHistory, HomeNode
from quarterdeck.history.lines import Entry, Kind
from quarterdeck.history.query import MOST_LIMIT, HistoryQuery, read_query
from quarterdeck.history.texts import visible
from quarterdeck.history.witness import Verdict

Command = TypeVar("Command", bound=Callable[..., Any])  # Any: click calls it with its options

_OPTIONS = (
    click.option("--actor", help="Exactly this actor: ada, token:ada/backup."),
    click.option(
        "--action", help="This action, or all that begin with it: host, host.add; several with commas."
    ),
    click.option("--object", "object_", help="This object, or all of a kind: host:web-1, host."),
    click.option("--host", help="Everything that concerns this host."),
    click.option("--kind", type=click.Choice([kind.value for kind in Kind])),
    click.option("--request", help="Everything that one request caused."),
    click.option("--since", help="Day or time, UTC: 2026-07-24, 2026-07-24T18:30."),
    click.option("--until", help="As --since; a bare day includes that day."),
    click.option("-q", "--text", "q", help="Text anywhere in an entry."),
    click.option("--node", "node_name", default="", help="The worker whose history is read [this node]."),
)


class Node(HomeNode, Protocol):
    """What these commands need: of the node whose home they work on, or of a master's API."""

    @property
    def history_book(self) -> HistoryBook:
        """How the history is read over the API; only where the node is remote."""


def _with_filters(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def group() -> None:
    """Who did what, where and when: read it, prove it, take it along."""


@group.command("show")
@_with_filters
@click.option(
    "-n", "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many entries."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def history_show(node: Node, /, node_name: str, limit: int, as_json: bool, **filters: str | None) -> None:
    """List entries, newest first."""
    for entry in islice(_book(node).entries(node_name, _query(filters, limit)), limit):
        click.echo(msgspec.json.encode(entry).decode() if as_json else _line(entry))


@group.command("verify")
@click.option(
    "--with-workers", is_flag=True, help="Also prove the workers' histories, all against each other."
)
@click.pass_obj
def history_verify(node: Node, with_workers: bool) -> None:
    """Prove that nothing was changed, dropped, swapped, cut off or added; exit 1 if something was."""
    verdicts = []
    for verdict in _book(node).verify(with_workers=with_workers, progress=_progress):
        verdicts.append(verdict)
        _tell(verdict)
    if not all(verdict.is_whole for verdict in verdicts):
        sys.exit(1)


@group.command("rebuild")
@click.pass_obj
@at_home_only
def history_rebuild(node: Node) -> None:
    """Make the indexes anew, while the master goes on; they only speed up the search."""
    blocks = node.history.rebuild(_progress)
    click.echo(f"{blocks:,} blocks of 1,000 lines are indexed.")


@group.command("export")
@_with_filters
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option(
    "--output", type=click.File("wb", lazy=False), default="-", help="File to write [standard output]."
)
@click.pass_obj
def history_export(
    node: Node, /, node_name: str, form: str, output: Any, **filters: str | None
) -> None:  # Any: a file
    """Write everything that fits, newest first; the export itself is recorded."""
    for piece in _book(node).export(node_name, _query(filters), form):
        output.write(piece)


def _book(node: Node) -> HistoryBook:
    return node.history_book if is_remote(node) else HomeHistory(node)


def _query(filters: dict[str, str | None], limit: int = 0) -> HistoryQuery:
    named = {option.removesuffix("_"): value for option, value in filters.items() if value}
    return read_query(named | ({"limit": str(min(limit, MOST_LIMIT))} if limit else {}))


def _line(entry: Entry) -> str:
    told = entry.detail.get("error") or entry.detail.get("command") or ""
    words = (entry.time[:19] + "Z", entry.result, entry.actor, entry.action, entry.object, str(told)[:120])
    return "\t".join(visible(word) for word in words)


def _progress(count: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{count:,} … ", nl=False, err=True)


def _tell(verdict: Verdict) -> None:
    found = verdict.verification
    if found is None:
        click.echo(f"{verdict.node}: could not be asked: {visible(verdict.trouble)}")
        return
    state = "whole" if found.is_whole else "NOT WHOLE"
    open_ = f", {found.open_intents:,} still open" if found.open_intents else ""
    click.echo(f"{verdict.node}: {state}: {found.lines:,} lines in {found.files:,} files{open_}.")
    for fault in found.faults:
        click.echo(f"  {visible(str(fault))}")
