"""``quarterdeck history``: read, prove, index and export; works beside a running master."""

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol, TypeVar

import click
import msgspec

from quarterdeck.core.actors import Actor
from quarterdeck.history.export import csv_of, json_of
from quarterdeck.history.lines import Entry, Kind
from quarterdeck.history.peers import PeerBook
from quarterdeck.history.query import HistoryQuery, read_query
from quarterdeck.history.reader import walk
from quarterdeck.history.service import History
from quarterdeck.history.texts import visible
from quarterdeck.history.witness import Verdict, verify_all

Command = TypeVar("Command", bound=Callable[..., Any])  # Any: click calls it with its options

_OPTIONS = (
    click.option("--actor", help="Exactly this actor: ada, token:ada/backup."),
    click.option("--action", help="This action, or all that begin with it: host, host.add."),
    click.option("--object", "object_", help="This object, or all of a kind: host:web-1, host."),
    click.option("--host", help="Everything that concerns this host."),
    click.option("--kind", type=click.Choice([kind.value for kind in Kind])),
    click.option("--request", help="Everything that one request caused."),
    click.option("--since", help="Day or time, UTC: 2026-07-24, 2026-07-24T18:30."),
    click.option("--until", help="As --since; a bare day includes that day."),
    click.option("-q", "--text", "q", help="Text anywhere in an entry."),
    click.option("--node", "node_name", default="", help="The worker whose history is read [this node]."),
)


class Node(Protocol):
    """What these commands need of the node whose home they work on."""

    @property
    def history(self) -> History: ...
    @property
    def peers(self) -> PeerBook: ...
    @property
    def actor(self) -> Actor: ...


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
    for entry in islice(_entries(node, node_name, filters), limit):
        click.echo(msgspec.json.encode(entry).decode() if as_json else _line(entry))


@group.command("verify")
@click.option(
    "--with-workers", is_flag=True, help="Also prove the workers' histories, all against each other."
)
@click.pass_obj
def history_verify(node: Node, with_workers: bool) -> None:
    """Prove that nothing was changed, dropped, swapped, cut off or added; exit 1 if something was."""
    book = node.peers if with_workers else PeerBook()
    verdicts = []
    for verdict in verify_all(node.history, book, _progress):
        verdicts.append(verdict)
        _tell(verdict)
    if not all(verdict.is_whole for verdict in verdicts):
        sys.exit(1)


@group.command("rebuild")
@click.pass_obj
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
    entries = _entries(node, node_name, filters)
    told = {name: value for name, value in filters.items() if value}
    detail = {"filters": told, "node": node_name or node.history.node, "format": form}
    node.history.event(node.actor, "history.export", "history", detail=detail)
    for piece in csv_of(entries) if form == "csv" else json_of(entries):
        output.write(piece.encode() if isinstance(piece, str) else piece)


def _entries(node: Node, name: str, filters: dict[str, str | None]) -> Iterator[Entry]:
    named = {option.removesuffix("_"): value for option, value in filters.items() if value}
    query: HistoryQuery = read_query(named)
    # Reading this node's own files must not need whatever knows the workers.
    book = node.peers if name not in ("", node.history.node) else PeerBook()
    return walk(book.history_of(node.history, node.history.node, name).page, query)


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
