"""The quarterdeck command. Commands of a capability are loaded only when they are asked for."""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from quarterdeck import __version__
from quarterdeck.core import serve
from quarterdeck.core.command_line import at_home_only
from quarterdeck.core.config import NodeKind, Settings, environment_of, load_settings, server_address
from quarterdeck.core.errors import Invalid, NotFound, QuarterdeckError
from quarterdeck.core.pinning import read_pin
from quarterdeck.core.security import private_directory

if TYPE_CHECKING:
    from quarterdeck.core.api_client import ApiClient
    from quarterdeck.parts import Parts
    from quarterdeck.remote import RemoteNode

_NODE: Final = (sys.executable, "-m", "quarterdeck")
"""Where a worker keeps what its master must show (worker.py), and the master finds it (hosts.bootstrap)."""
_COMMANDS: Final = {
    "alert": ("quarterdeck.metrics.alerts.commands:alert", "What is wrong with the fleet, and what was."),
    "base": ("quarterdeck.hosts.commands:base", "Remote APIs that tasks may call."),
    "change": ("quarterdeck.files.changes.commands:change", "Change files, on branches of their own."),
    "file": ("quarterdeck.files.place_commands:file", "Files of repositories."),
    "grant": ("quarterdeck.access.grant_commands:grant", "Rights on single hosts, tags and places."),
    "history": ("quarterdeck.history.commands:group", "Read, verify and export the history."),
    "host": ("quarterdeck.hosts.commands:host", "SSH hosts and workers."),
    "person": ("quarterdeck.access.commands:person", "People and their roles."),
    "place": ("quarterdeck.files.place_commands:place", "Repositories whose files people change."),
    "rule": ("quarterdeck.metrics.alerts.commands:rule", "When the figures of a host ring an alert."),
    "run": ("quarterdeck.tasks.commands:run", "Run a command or a built-in task on hosts."),
    "runs": ("quarterdeck.tasks.commands:runs", "List, read and cancel runs."),
    "silence": ("quarterdeck.hosts.silence_commands:silence", "Work on hosts without ringing anybody."),
    "simulate": ("quarterdeck.tasks.simulation.commands:simulate", "A fleet that is not there, to try with."),
    "toast": ("quarterdeck.notify.commands:group", "Send a message to people's pages."),
    "token": ("quarterdeck.access.commands:token", "API tokens."),
}
_REMOTE_SETTINGS: Final = {
    "server": "server",
    "token_file": "token_file",
    "ca_file": "ca_file",
    "pin": "server_pin",
}
"""The settings of the options that name a master elsewhere."""
_MAKES_A_HOME: Final = frozenset({("person", "add")})
"""Beside those that start a node: what may be the first thing that is done with a new home."""


class CliNode:
    """What commands get as ``ctx.obj``: the settings, and the parts of a master by their names."""

    is_remote: Final = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def parts(self) -> "Parts":
        """The parts on this home; raises NotFound where no master has kept anything yet."""
        home = self.settings.home
        is_home = (home / "quarterdeck.db").exists() or (home / "keys" / "cli-token").exists()
        if not is_home and _names(click.get_current_context()) not in _MAKES_A_HOME:
            raise NotFound(
                f"There is no home of a master in {home}. Check --home and QUARTERDECK_HOME; "
                f"`quarterdeck --home {home} up` makes one there."
            )
        from quarterdeck.parts import Parts

        return Parts(self.settings)

    def close(self) -> None:
        """Let go of what the command has used of the home."""
        if "parts" in self.__dict__:
            self.parts.close()

    @cached_property
    def api(self) -> "ApiClient":
        """The API of the home's own running master."""
        from quarterdeck.remote import own_api

        return own_api(self.settings)

    def __getattr__(self, name: str) -> Any:  # Any: the part of that name
        return getattr(self.parts, name)


class _Commands(click.Group):
    """Loads a capability's commands on use, so that starting a worker imports no database."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help without importing what it is about."""
        own = [(name, self.commands[name].get_short_help_str(80)) for name in super().list_commands(ctx)]
        with formatter.section("Start"):
            formatter.write_dl(own)
        with formatter.section("Use (on the home of a master, running or not, or over --server)"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:  # Any: as click declares it
        try:
            return super().invoke(ctx)
        except Invalid as error:
            lines = [f"{name}: {text}" for name, text in error.fields.items()]
            raise click.ClickException("\n".join(lines)) from error
        except QuarterdeckError as error:
            raise click.ClickException(error.message) from error
        except UnicodeDecodeError as error:  # files and standard input are read by whichever command
            raise click.ClickException(
                "A file that was named, or the standard input, is no text in UTF-8."
            ) from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command has its own --help. Settings come from the environment and from quarterdeck.toml.",
)
@click.version_option(__version__, prog_name="quarterdeck")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of everything that is kept [QUARTERDECK_HOME; ~/.local/share/quarterdeck].",
)
@click.option(
    "--server",
    metavar="URL",
    callback=lambda _ctx, _option, value: _read(server_address, value),
    help="Use the master at this address, over its API, and no home [QUARTERDECK_SERVER].",
)
@click.option(
    "--token-file",
    metavar="FILE",
    help="File with the API token to use; “-” reads a line of standard input [QUARTERDECK_TOKEN_FILE].",
)
@click.option("--ca-file", metavar="FILE", help="Authorities that vouch for --server [QUARTERDECK_CA_FILE].")
@click.option(
    "--pin",
    metavar="SHA256:…",
    callback=lambda _ctx, _option, value: _read(read_pin, value),
    help="Accept only this certificate of --server [QUARTERDECK_SERVER_PIN].",
)
@click.pass_context
def main(ctx: click.Context, /, home: Path | None, **remote: str | None) -> None:
    """Quarterdeck: hosts, runs and a history that proves itself.

    \b
    Begin:          quarterdeck up                     (then open the link that it prints)
    Add a person:   quarterdeck person add ada --role administrator
    Add a host:     quarterdeck host add web1 --address 192.0.2.10 --user deploy --key-file ~/.ssh/id_ed25519
    Run something:  quarterdeck run --host web1 -- df -h /
    Check it all:   quarterdeck history verify --with-workers
    From elsewhere: quarterdeck --server https://deck.example.org --token-file ~/.deck-token runs list
    """
    if home and remote["server"]:
        raise click.UsageError("Give --home or --server, not both.")
    given: dict[str, Any] = {
        name: remote[option] for option, name in _REMOTE_SETTINGS.items()
    }  # Any: as load_settings takes them
    settings = load_settings(home=home.expanduser().resolve() if home else None, **given)
    if home:  # named by hand, it goes before a server or a token that the environment names
        settings = replace(settings, server="", token_file=remote["token_file"] or "")
    is_remote = settings.server or settings.token_file
    ctx.obj = _remote_node(ctx, settings) if is_remote else _home_node(ctx, settings)


def _home_node(ctx: click.Context, settings: Settings) -> CliNode:
    node = CliNode(settings)
    ctx.call_on_close(node.close)
    return node


def _remote_node(ctx: click.Context, settings: Settings) -> "RemoteNode":
    from quarterdeck.remote import RemoteNode

    if not settings.token_file:
        raise click.UsageError("Say with which token: --token-file FILE, or QUARTERDECK_TOKEN_FILE.")
    # From standard input it is read first: a password may be the next line.
    typed = _read_secret("Token") if settings.token_file == "-" else ""  # noqa: S105 - no secret
    node = RemoteNode(settings, typed)
    ctx.call_on_close(lambda: _end(node))
    return node


def _end(node: "RemoteNode") -> None:
    for note in node.close():
        click.echo(note, err=True)


def _read(reader: Callable[[str], str], value: str | None) -> str | None:
    """Read an option as the setting of the same meaning is read."""
    try:
        return reader(value) if value else None
    except ValueError as error:
        raise click.BadParameter(f"it must be {error}.") from error


def _names(ctx: click.Context | None) -> tuple[str, ...]:
    """Return the words of the command that is called, without the program's own."""
    names: list[str] = []
    while ctx is not None and ctx.parent is not None:
        names.insert(0, ctx.info_name or "")
        ctx = ctx.parent
    return tuple(names)


@main.command()
@click.pass_obj
@at_home_only
def up(node: CliNode) -> None:
    """Start a master and a worker for this machine; Ctrl-C ends both."""
    settings = node.settings
    worker_home = private_directory(private_directory(settings.home) / "worker")
    master = environment_of(settings, SELFSERVICE_TYPE="master", QUARTERDECK_HOME=str(settings.home))
    worker = environment_of(
        settings,
        SELFSERVICE_TYPE="worker",
        QUARTERDECK_HOME=str(worker_home),
        QUARTERDECK_MASTER_URL=settings.bind.url,
        QUARTERDECK_DIAL_OUT="false",
        QUARTERDECK_JOIN_CODE="",
    )
    sys.exit(serve.supervise([serve.Child("worker", _NODE, worker), serve.Child("master", _NODE, master)]))


@main.command()
@click.pass_obj
@at_home_only
def master(node: CliNode) -> None:
    """Start a master alone."""
    _become(node.settings, NodeKind.MASTER)


@main.command()
@click.option("--join", "code", default="", help="Join a master by its one-time code; “-” reads it.")
@click.option("--master", "url", default="", help="Address of the master to join.")
@click.option("--pin", default="", help="Accept only this certificate of the master: SHA256:…")
@click.pass_obj
@at_home_only
def worker(node: CliNode, code: str, url: str, pin: str) -> None:
    """Start a worker, which takes orders from its master.

    With a code of `quarterdeck host invite`, it joins that master and from then on dials it: nothing needs
    to reach this machine. What it joined by is kept in its home; the next start needs no option.
    """
    given = {
        "QUARTERDECK_JOIN_CODE": _read_secret("Code") if code == "-" else code,
        "QUARTERDECK_MASTER_URL": url,
        "QUARTERDECK_MASTER_PIN": pin,
    }
    _become(node.settings, NodeKind.WORKER, **{name: value for name, value in given.items() if value})


def _read_secret(what: str) -> str:
    """Read a secret from the terminal or standard input: an argument is seen by everybody on the machine."""
    if sys.stdin.isatty():
        secret: str = click.prompt(what, hide_input=True)
        return secret
    return sys.stdin.readline().strip()


def _become(settings: Settings, kind: NodeKind, **given: str) -> None:
    """Turn this process into a node; one entry point decides what each kind loads."""
    home = str(settings.home)
    environment = environment_of(settings, SELFSERVICE_TYPE=kind.value, QUARTERDECK_HOME=home, **given)
    os.execve(_NODE[0], _NODE, environment)  # noqa: S606 - our own program, no shell
