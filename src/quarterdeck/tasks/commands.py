"""``quarterdeck run`` and ``quarterdeck runs``: through the JSON API of a running master."""

import sys
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import click
import msgspec

from quarterdeck.core.api_client import ApiClient
from quarterdeck.core.clock import SystemClock
from quarterdeck.core.errors import Conflict, QuarterdeckError
from quarterdeck.protocol.tasks import Builtin
from quarterdeck.tasks.states import RunState
from quarterdeck.tasks.terminal.client import Json, RunsClient
from quarterdeck.tasks.terminal.flags import TIME, given, option_flags
from quarterdeck.tasks.terminal.follow import Follower, exit_status
from quarterdeck.tasks.terminal.lateness import Lateness

Command = TypeVar("Command", bound=Callable[..., Any])  # Any: click calls it with its options
_INTERRUPTED: Final = 130
_PROOF: Final = {
    True: "proved gone",
    False: "some of it is still there",
    None: "whether it is gone is unknown",
}


class Node(Protocol):
    """What these commands need: the API of the home's own running master, or of another."""

    @property
    def api(self) -> ApiClient: ...


@click.command("run")
@click.option("--host", "hosts", multiple=True, help="A host by name; may be repeated.")
@click.option("--tag", "tags", multiple=True, help="All hosts of a tag; may be repeated.")
@click.option(
    "--builtin", type=click.Choice([name.value for name in Builtin]), help="A built-in task, no command."
)
@click.option("--argument", "arguments", multiple=True, metavar="NAME=VALUE", help="Of a built-in task.")
@click.option("--timeout", type=TIME, help="Limit on each host: seconds, or such as 5min.")
@click.option("--keep", is_flag=True, help="On SSH hosts, let it go on when the master ends.")
@option_flags
@click.option("--force", is_flag=True, help="Run it although the same is under way; needs --reason.")
@click.option("--reason", default="", help="Why it is run although the same is under way.")
@click.option("--json", "as_json", is_flag=True, help="Print the ended run as JSON, not its output.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def run(
    node: Node,
    /,
    hosts: tuple[str, ...],
    tags: tuple[str, ...],
    command: tuple[str, ...],
    *,
    builtin: str | None,
    arguments: tuple[str, ...],
    timeout: int | None,
    keep: bool,
    force: bool,
    reason: str,
    as_json: bool,
    **options: object,
) -> None:
    """Run a COMMAND (after --) or a built-in task on hosts, and print the output as it comes.

    \b
    quarterdeck run --host web1 -- df -h /
    quarterdeck run --tag web --tag db -- uptime
    quarterdeck run --host worker --builtin top-memory --argument count=5
    quarterdeck run --tag web --canary 1 --stop-at 10 --silence 5min -- ./deploy

    With several hosts each line begins with its host. The exit status is the remote one for one
    host; else 0 when all succeeded, 1 when not. Ctrl-C cancels the run.
    """
    body: Json = {
        "task": _task(command, builtin, arguments),
        "hosts": list(hosts),
        "tags": list(tags),
        "force": force,
        "reason": reason,
    }
    if chosen := given(options) | ({"keep_running": True} if keep else {}):
        body["options"] = chosen
    if timeout is not None:
        body["timeout_seconds"] = timeout
    client = RunsClient(node.api)
    ended = _see_through(client, _start(client, body), is_quiet=as_json)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(ended)).decode())
    else:
        _tell_end(ended)
    sys.exit(exit_status(ended))


@click.group("runs")
def runs() -> None:
    """List, read and cancel runs."""


@runs.command("list")
@click.option("--state", default="", help="For example failed, or active.")
@click.option("--host", default="")
@click.option("--by", "actor", default="", help="Who started it.")
@click.option("--search", "q", default="", help="A part of the command.")
@click.option("--limit", default=20, type=click.IntRange(1, 200))
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def run_list(node: Node, /, *, as_json: bool, **filters: str | int) -> None:
    """List the newest runs."""
    client = RunsClient(node.api)
    page = client.page(**filters)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(page)).decode())
        return
    for each in page["runs"]:
        began = each["created_at"][:19].replace("T", " ")
        head = f"{each['id']}  {began}  {each['state']:<10}  {each['actor']:<12}"
        click.echo(f"{head}  {_where(each)}: {each['title']}")


@runs.command("show")
@click.argument("run_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def run_show(node: Node, run_id: str, *, as_json: bool) -> None:
    """Show a run and how it stands on each host."""
    client = RunsClient(node.api)
    found = client.show(run_id)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    click.echo(f"{found['title']}\n{found['state']}, by {found['actor']} at {found['created_at']}")
    for host in found["hosts"]:
        status = "" if host["exit_status"] is None else f"exit {host['exit_status']}"
        click.echo(f"  {host['name']:<24} {host['state']:<11} {status:<8} {host['message']}".rstrip())


@runs.command("output")
@click.argument("run_id", metavar="ID")
@click.option("--host", "host", default="", help="Only this host; needed for --stream.")
@click.option("--stream", type=click.Choice(["out", "err"]), help="Only this stream, byte for byte.")
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@click.pass_obj
def run_output(node: Node, run_id: str, *, host: str, stream: str | None, follow: bool) -> None:
    """Print what a run has printed, standard error to standard error."""
    client = RunsClient(node.api)
    found = client.show(run_id)
    if host:
        found["hosts"] = [each for each in found["hosts"] if each["name"] == host]
        if not found["hosts"]:
            raise click.ClickException(f"The run has no host named {host}.")
    if stream and len(found["hosts"]) > 1:
        raise click.UsageError(f"The run has {len(found['hosts'])} hosts; name one by --host.")
    write = _write_to_output if stream else _write_stream
    follower = Follower(client, found, write, stream=stream or "")
    if follow:
        follower.follow()
    else:
        follower.print_once(found)


@runs.command("cancel")
@click.argument("run_id", metavar="ID")
@click.pass_obj
def run_cancel(node: Node, run_id: str) -> None:
    """Cancel a run on all its hosts, and wait for its end."""
    client = RunsClient(node.api)
    client.cancel(run_id)
    ended = client.show(run_id, wait_seconds=30)
    for host in ended["hosts"]:
        proof = _PROOF[host["gone"]] if host["state"] == RunState.CANCELLED else ""
        click.echo(f"{host['name']:<24} {host['state']:<11} {proof}".rstrip())


def _task(command: tuple[str, ...], builtin: str | None, arguments: tuple[str, ...]) -> Json:
    if bool(command) == bool(builtin):
        raise click.UsageError("Give either a command after -- or --builtin NAME.")
    if command:
        return {"kind": "command", "command": " ".join(command)}
    pairs = [argument.partition("=") for argument in arguments]
    return {"kind": "builtin", "name": builtin, "arguments": {name: value for name, _, value in pairs}}


def _start(client: RunsClient, body: Json) -> Json:
    try:
        return client.start(body)
    except Conflict as error:
        run_id = error.extra.get("duplicate_of")
        join = f"Join it:        quarterdeck runs output {run_id} --follow\n" if run_id else ""
        raise Conflict(f"{error.message}\n{join}Run it anyway:  add --force --reason TEXT") from error


def _see_through(client: RunsClient, started: Json, *, is_quiet: bool) -> Json:
    look = None
    if not is_quiet and sys.stderr.isatty():
        look = Lateness(started, _tell, SystemClock()).look
    follower = Follower(client, started, _write_nothing if is_quiet else _write_stream, look)
    try:
        return follower.follow()
    except KeyboardInterrupt:
        click.echo(f"\nCancelling run {started['id']}; Ctrl-C again leaves it to itself.", err=True)
    try:
        client.cancel(started["id"])
        follower.follow()
    except KeyboardInterrupt:
        click.echo(f"The run goes on: quarterdeck runs show {started['id']}", err=True)
    except QuarterdeckError as error:
        click.echo(error.message, err=True)
    sys.exit(_INTERRUPTED)


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _tell_end(ended: Json) -> None:
    """Say what the output does not: hosts that did not succeed, and why."""
    for host in ended["hosts"]:
        is_plain = host["state"] == RunState.FAILED and host["exit_status"] and not host["message"]
        if host["state"] != RunState.SUCCEEDED and not (is_plain and len(ended["hosts"]) == 1):
            status = f" with exit status {host['exit_status']}" if host["exit_status"] else ""
            told = f": {host['message']}" if host["message"] else ""
            click.echo(f"{host['name']} {host['state']}{status}{told}", err=True)


def _where(run_: Json) -> str:
    return str(run_["targets"]) if run_["host_count"] <= 3 else f"{run_['host_count']} hosts"


def _write_stream(data: bytes, is_error: bool) -> None:
    _write(data, is_error=is_error)


def _write_to_output(data: bytes, _is_error: bool) -> None:
    _write(data, is_error=False)


def _write_nothing(_data: bytes, _is_error: bool) -> None:
    """Let the output go: the run is printed as JSON."""


def _write(data: bytes, *, is_error: bool) -> None:
    click.echo(data, nl=False, err=is_error)
