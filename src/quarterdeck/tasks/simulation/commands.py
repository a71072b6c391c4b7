"""``quarterdeck simulate``: starts a fleet that is not there, and lists it or takes it out of the list."""

import asyncio
import signal
from typing import Any, Final, Protocol

import click
import uvloop

from quarterdeck.core.actors import Actor
from quarterdeck.core.command_line import at_home_only
from quarterdeck.core.config import Settings
from quarterdeck.core.security import private_directory
from quarterdeck.core.serve import allow_many_files
from quarterdeck.hosts.service import Hosts
from quarterdeck.tasks.simulation import registration
from quarterdeck.tasks.simulation.answers import known_commands
from quarterdeck.tasks.simulation.fleet import MOST_HOSTS, Manner, Shares, SimulatedHost, tally
from quarterdeck.tasks.simulation.keys import fleet_keys
from quarterdeck.tasks.simulation.simulator import Plan, Simulator
from quarterdeck.tasks.simulation.timing import MaxStartups

_PERCENT: Final = click.FloatRange(0, 100)
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Node(Protocol):
    """What this command needs of the node whose home it works on."""

    @property
    def settings(self) -> Settings: ...

    @property
    def hosts(self) -> Hosts: ...

    @property
    def actor(self) -> Actor: ...


class _Startups(click.ParamType[MaxStartups]):
    """Reads sshd's ``MaxStartups``."""

    name = "BEGIN:RATE:FULL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> MaxStartups:  # Any: as click declares it
        try:
            return MaxStartups.read(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("simulate")
@click.option(
    "--hosts", "count", type=click.IntRange(0, MOST_HOSTS), default=100, show_default=True, help="SSH hosts."
)
@click.option(
    "--workers", type=click.IntRange(0, MOST_HOSTS), default=0, show_default=True, help="Workers beside them."
)
@click.option(
    "--port",
    type=click.IntRange(1024, 60_000),
    default=2222,
    show_default=True,
    help="Where they listen: SSH hosts from 127.77.0.1 on, workers from 127.78.0.1 on.",
)
@click.option(
    "--latency",
    type=click.FloatRange(0, 60_000),
    default=0,
    show_default=True,
    metavar="MS",
    help="Mean time of an answer in milliseconds; each takes half to one and a half of it.",
)
@click.option("--failing", type=_PERCENT, default=0, help="Percent of hosts whose commands end with 1.")
@click.option(
    "--refusing", type=_PERCENT, default=0, help="Percent of hosts that refuse, or drop, the connection."
)
@click.option("--slow", type=_PERCENT, default=0, help="Percent of hosts that take 2 to 8 s a command.")
@click.option("--differing", type=_PERCENT, default=0, help="Percent of hosts whose outputs differ.")
@click.option(
    "--max-startups",
    type=_Startups(),
    help="Let each host drop connections that have not signed in, as sshd does by its 10:30:100.",
)
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed makes the same hosts do so."
)
@click.option("--add", is_flag=True, help="Put them into the list of hosts, with the tag “simulated”.")
@click.option("--remove", is_flag=True, help="Take all simulated hosts out of the list, and end.")
@click.pass_obj
@at_home_only
def simulate(node: Node, /, *, add: bool, remove: bool, **options: Any) -> None:  # Any: what click read
    """Start a fleet of hosts that are not there, on this machine's loopback; Ctrl-C ends it.

    \b
    quarterdeck simulate --hosts 1000 --latency 20 --failing 3 --refusing 2 --add
    quarterdeck run --tag simulated -- df -h /
    quarterdeck simulate --remove

    The hosts answer a few harmless commands with made-up figures and run nothing. They let in nobody
    but who has the key that is kept in the home, in the folder simulation.
    """
    if add and remove:
        raise click.UsageError("Give either --add or --remove.")
    if remove:
        removed = registration.remove_fleet(node.hosts, node.actor)
        click.echo(f"{removed:,} simulated hosts are removed from the list.")
        return
    hosts = node.hosts if add else None  # refuses what is no home before anything is made there
    allow_many_files()
    fleet = Simulator(_plan(**options), fleet_keys(private_directory(node.settings.home) / "simulation"))
    fleet.listen()
    _tell(fleet)
    if hosts is not None:
        added = registration.add_fleet(hosts, node.actor, fleet.drafts)
        click.echo(f"listed     {added.new:,} new hosts, {added.known:,} that were there already")
    else:
        click.echo("listed     no; --add puts them into the list of hosts")
    uvloop.run(_serve(fleet))
    click.echo("The simulated fleet has ended.")


def _plan(
    *,
    count: int,
    workers: int,
    port: int,
    latency: float,
    failing: float,
    refusing: float,
    slow: float,
    differing: float,
    max_startups: MaxStartups | None,
    seed: int,
) -> Plan:
    return Plan(
        hosts=count,
        workers=workers,
        port=port,
        seed=seed,
        latency_milliseconds=latency,
        shares=Shares(failing=failing, refusing=refusing, slow=slow, differing=differing),
        max_startups=max_startups,
    )


def _tell(fleet: Simulator) -> None:
    """Say what there is and how to use it."""
    for hosts, what in ((fleet.hosts, "SSH hosts"), (fleet.workers, "workers")):
        if hosts:
            click.echo(f"{len(hosts):,} simulated {what}: {tally(hosts)}")
            click.echo(
                f"where      {_place(hosts[0])} to {_place(hosts[-1])}, on this machine's loopback only"
            )
    if well := next((host for host in fleet.hosts if host.manner is Manner.WELL), None):
        login = f"-p {well.port} {registration.USERNAME}@{well.address}"
        click.echo(f"by hand    ssh -i {fleet.keys.client_file} {login} uptime")
    click.echo(f"commands   {known_commands()}")
    click.echo(f"run        quarterdeck run --tag {registration.TAG} -- df -h /")
    click.echo("end        Ctrl-C; quarterdeck simulate --remove takes them out of the list")


def _place(host: SimulatedHost) -> str:
    return f"{host.address} port {host.port}"


async def _serve(fleet: Simulator) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    await fleet.serve(stopped)
