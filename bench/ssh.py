"""One command, ``df -h /``, on 200 SSH hosts: CPU of our own process and wall time, against others.

Run from the repository's folder as root: ``python -m bench.ssh [--hosts 200] [--rounds 3] [--no-ansible]``.
20 real sshd listen on 200 loopback addresses. Every tool runs in a process of its own, 50 hosts at
once, in turns; figures are medians over the rounds. CPU is that of the tool's process (for Ansible
also of its children), never that of sshd, and without the time to import libraries (for Ansible
with it, since each call of it pays that). Cold means that connections are made, warm that they are
there. Host keys are verified, except by parallel-ssh, which does not do so unless told.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.sshd import SshServer, free_port, make_keys, missing_sshd, open_folder

COMMAND = "df -h /"
AT_ONCE = 50
SERVERS = 20
WARM_ROUNDS = 3
BUDGETS = {"cold_cpu_ms": 4.0, "warm_cpu_ms": 0.5}
TOOLS = ("quarterdeck", "paramiko", "parallel-ssh")


@dataclass(frozen=True)
class Fleet:
    """The hosts of one benchmark, as handed to each tool."""

    addresses: list[str]
    port: int
    host_keys: dict[str, str]
    key_file: str
    known_hosts: str


class Stopwatch:
    """CPU of this process and wall time, by host."""

    def __init__(self, hosts: int) -> None:
        self._hosts = hosts
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def read(self, name: str) -> dict[str, float]:
        cpu = (time.process_time() - self._cpu) * 1000 / self._hosts
        return {f"{name}_cpu_ms": cpu, f"{name}_wall_s": time.perf_counter() - self._wall}


def timed(hosts: int, cold: Callable[[], None], warm: Callable[[], None]) -> dict[str, float]:
    watch = Stopwatch(hosts)
    cold()
    figures = watch.read("cold")
    rounds = []
    for _ in range(WARM_ROUNDS):
        watch = Stopwatch(hosts)
        warm()
        rounds.append(watch.read("warm"))
    return figures | medians(rounds)


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]}


def quarterdeck(fleet: Fleet) -> dict[str, float]:
    import uvloop

    from quarterdeck.hosts.ssh import SshPool, SshTarget
    from quarterdeck.tasks.ssh import SshExecution

    class Kept:
        def __init__(self) -> None:
            self.output = b""

        async def started(self) -> None:
            pass

        async def write(self, stream: str, data: bytes) -> None:
            self.output += data

    key = Path(fleet.key_file).read_text()
    targets = [
        SshTarget(
            host_id=address,
            name=address,
            address=address,
            port=fleet.port,
            username="root",
            private_key=key,
            host_key=fleet.host_keys[address],
            connect_seconds=60,
        )
        for address in fleet.addresses
    ]

    async def measure() -> dict[str, float]:
        pool = SshPool()
        places = asyncio.Semaphore(AT_ONCE)

        async def one(target: SshTarget) -> None:
            sink = Kept()
            async with places:
                result = await SshExecution(pool, target, COMMAND).run(sink)
            assert result.exit_status == 0
            assert sink.output.startswith(b"Filesystem")

        async def everywhere(name: str) -> dict[str, float]:
            watch = Stopwatch(len(targets))
            await asyncio.gather(*(one(target) for target in targets))
            return watch.read(name)

        figures = await everywhere("cold")
        figures |= medians([await everywhere("warm") for _ in range(WARM_ROUNDS)])
        await pool.close()
        return figures

    return uvloop.run(measure())


def paramiko(fleet: Fleet) -> dict[str, float]:
    import paramiko as library

    key = library.Ed25519Key.from_private_key_file(fleet.key_file)
    known = library.HostKeys(fleet.known_hosts)
    names = {address: f"[{address}]:{fleet.port}" for address in fleet.addresses}
    host_keys = {address: known[name]["ssh-ed25519"] for address, name in names.items()}
    clients: dict[str, Any] = {}

    def connect(address: str) -> None:
        client = library.SSHClient()
        client.get_host_keys().add(names[address], "ssh-ed25519", host_keys[address])
        client.connect(
            address, fleet.port, "root", pkey=key, allow_agent=False, look_for_keys=False, banner_timeout=60
        )
        clients[address] = client
        run(address)

    def run(address: str) -> None:
        _, out, _ = clients[address].exec_command(COMMAND)
        assert out.read().startswith(b"Filesystem")
        assert out.channel.recv_exit_status() == 0

    with ThreadPoolExecutor(AT_ONCE) as threads:
        figures = timed(
            len(fleet.addresses),
            lambda: list(threads.map(connect, fleet.addresses)) and None,
            lambda: list(threads.map(run, fleet.addresses)) and None,
        )
    for client in clients.values():
        client.close()
    return figures


def parallel_ssh(fleet: Fleet) -> dict[str, float]:
    from pssh.clients import ParallelSSHClient

    client = ParallelSSHClient(
        fleet.addresses,
        user="root",
        port=fleet.port,
        pkey=fleet.key_file,
        pool_size=AT_ONCE,
        allow_agent=False,
    )

    def run() -> None:
        for host in client.run_command(COMMAND):
            assert next(iter(host.stdout)).startswith("Filesystem")
            list(host.stdout)
            assert host.exit_code == 0

    return timed(len(fleet.addresses), run, run)


def ansible(fleet: Fleet, folder: Path) -> dict[str, float]:
    """Run Ansible's ad hoc command once; its control connections would outlive it, so they are off."""
    inventory = folder / "inventory"
    inventory.write_text("".join(f"{address} ansible_port={fleet.port}\n" for address in fleet.addresses))
    options = f"-o UserKnownHostsFile={fleet.known_hosts} -o ControlMaster=no"
    command = [str(Path(sys.executable).with_name("ansible")), "all", "-i", str(inventory), "-u", "root"]
    command += ["--private-key", fleet.key_file, "-f", str(AT_ONCE), "-m", "raw", "-a", COMMAND]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "ANSIBLE_SSH_ARGS": options, "ANSIBLE_LOCAL_TEMP": str(folder / "ansible")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.count("rc=0") == len(fleet.addresses), done.stdout[-2000:] + done.stderr[-2000:]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cold_cpu_ms": round(cpu * 1000 / len(fleet.addresses), 3), "cold_wall_s": round(wall, 3)}


@contextlib.contextmanager
def fleet_of(hosts: int) -> Iterator[tuple[Fleet, Path]]:
    with open_folder() as folder:
        (folder / "keys").mkdir(mode=0o755)
        keys = make_keys(folder / "keys")
        servers = []
        port = free_port()
        each = hosts // SERVERS
        try:
            for number in range(SERVERS):
                home = folder / f"sshd-{number}"
                home.mkdir()
                addresses = tuple(f"127.1.{number + 1}.{last}" for last in range(1, each + 1))
                server = SshServer(home, keys, addresses, port, {"MaxStartups": "500"})
                servers.append(server)
                server.start()
            yield _fleet(folder, servers, port), folder
        finally:
            for server in servers:
                server.vanish()


def _fleet(folder: Path, servers: list[SshServer], port: int) -> Fleet:
    host_keys = {address: server.host_key for server in servers for address in server.addresses}
    known_hosts = folder / "known_hosts"
    known_hosts.write_text("".join(f"[{address}]:{port} {line}\n" for address, line in host_keys.items()))
    return Fleet(list(host_keys), port, host_keys, str(folder / "keys/good"), str(known_hosts))


def in_own_process(tool: str, fleet: Fleet) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.ssh", "--tool", tool]
    done = subprocess.run(
        command, input=json.dumps(fleet.__dict__), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def run_tool(tool: str) -> None:
    fleet = Fleet(**json.load(sys.stdin))
    print(
        json.dumps(
            {"quarterdeck": quarterdeck, "paramiko": paramiko, "parallel-ssh": parallel_ssh}[tool](fleet)
        )
    )


def benchmark(hosts: int, rounds: int, *, with_ansible: bool) -> dict[str, Any]:
    measured: dict[str, list[dict[str, float]]] = {tool: [] for tool in TOOLS}
    with fleet_of(hosts) as (fleet, folder):
        for _ in range(rounds):
            for tool in TOOLS:
                measured[tool].append(in_own_process(tool, fleet))
        results = {tool: medians(figures) for tool, figures in measured.items()}
        if with_ansible:
            results["ansible raw"] = ansible(fleet, folder)
    ours = results["quarterdeck"]
    return {
        "command": COMMAND,
        "hosts": hosts,
        "at_once": AT_ONCE,
        "rounds": rounds,
        "load_average": os.getloadavg()[0],
        "versions": {
            name: version(name) for name in ("asyncssh", "paramiko", "parallel-ssh", "ansible-core")
        },
        "results": results,
        "budgets": BUDGETS,
        "within_budget": {name: ours[name] <= limit for name, limit in BUDGETS.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-ansible", action="store_true")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tool:
        run_tool(arguments.tool)
        return
    if reason := missing_sshd():
        sys.exit(reason)
    print(
        json.dumps(
            benchmark(arguments.hosts, arguments.rounds, with_ansible=not arguments.no_ansible), indent=2
        )
    )


if __name__ == "__main__":
    main()
