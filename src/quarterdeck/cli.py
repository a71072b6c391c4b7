"""The quarterdeck command. Commands of a capability are loaded only when they are asked for."""

import importlib
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from quarterdeck import __version__
from quarterdeck.core import serve
from quarterdeck.core.config import NodeKind, Settings, environment_of, load_settings
from quarterdeck.core.errors import Invalid, QuarterdeckError
from quarterdeck.core.security import private_directory

if TYPE_CHECKING:
    from quarterdeck.parts import Parts

_NODE: Final = (sys.executable, "-m", "quarterdeck")
"""Where a worker keeps what its master must show (worker.py), and the master finds it (hosts.bootstrap)."""
_COMMANDS: Final = {
    "base": ("quarterdeck.hosts.commands:base", "Remote APIs that tasks may call."),
    "history": ("quarterdeck.history.commands:group", "Read, verify and export the history."),
    "host": ("quarterdeck.hosts.commands:host", "SSH hosts and workers."),
    "person": ("quarterdeck.access.commands:person", "People and their roles."),
    "run": ("quarterdeck.tasks.commands:run", "Run a command or a built-in task on hosts."),
    "runs": ("quarterdeck.tasks.commands:runs", "List, read and cancel runs."),
    "simulate": ("quarterdeck.tasks.simulation.commands:simulate", "A fleet that is not there, to try with."),
    "toast": ("quarterdeck.notify.commands:group", "Send a message to people's pages."),
    "token": ("quarterdeck.access.commands:token", "API tokens."),
}


class CliNode:
    """What commands get as ``ctx.obj``: the settings, and the parts of a master by their names."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def parts(self) -> "Parts":
        from quarterdeck.parts import Parts

        return Parts(self.settings)

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
        with formatter.section("Use (on the home of a master, running or not)"):
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
@click.pass_context
def main(ctx: click.Context, home: Path | None) -> None:
    """Quarterdeck: hosts, runs and a history that proves itself.

    \b
    Begin:          quarterdeck up                     (then open the link that it prints)
    Add a person:   quarterdeck person add ada --role administrator
    Add a host:     quarterdeck host add web1 --address 192.0.2.10 --user deploy --key-file ~/.ssh/id_ed25519
    Run something:  quarterdeck run --host web1 -- df -h /
    Check it all:   quarterdeck history verify --with-workers
    """
    settings = load_settings(home=home.expanduser().resolve() if home else None)
    ctx.obj = CliNode(settings)


@main.command()
@click.pass_obj
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
def master(node: CliNode) -> None:
    """Start a master alone."""
    _become(node.settings, NodeKind.MASTER)


@main.command()
@click.option("--join", "code", default="", help="Join a master by its one-time code; “-” reads it.")
@click.option("--master", "url", default="", help="Address of the master to join.")
@click.option("--pin", default="", help="Accept only this certificate of the master: SHA256:…")
@click.pass_obj
def worker(node: CliNode, code: str, url: str, pin: str) -> None:
    """Start a worker, which takes orders from its master.

    With a code of `quarterdeck host invite`, it joins that master and from then on dials it: nothing needs
    to reach this machine. What it joined by is kept in its home; the next start needs no option.
    """
    given = {
        "QUARTERDECK_JOIN_CODE": _read_code() if code == "-" else code,
        "QUARTERDECK_MASTER_URL": url,
        "QUARTERDECK_MASTER_PIN": pin,
    }
    _become(node.settings, NodeKind.WORKER, **{name: value for name, value in given.items() if value})


def _read_code() -> str:
    """Read a code from the terminal or standard input: an argument is seen by everybody on the machine."""
    if sys.stdin.isatty():
        code: str = click.prompt("Code", hide_input=True)
        return code
    return sys.stdin.readline().strip()


def _become(settings: Settings, kind: NodeKind, **given: str) -> None:
    """Turn this process into a node; one entry point decides what each kind loads."""
    home = str(settings.home)
    environment = environment_of(settings, SELFSERVICE_TYPE=kind.value, QUARTERDECK_HOME=home, **given)
    os.execve(_NODE[0], _NODE, environment)  # noqa: S606 - our own program, no shell
