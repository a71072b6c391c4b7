"""One command, ``df -h /``, on 500 SSH hosts: CPU of our own process and wall time, against others.

Run from the repository's folder as root: ``python -m bench.ssh [--hosts 500] [--rounds 3] [--no-ansible]``.
Real sshd listen on loopback addresses, 16 each (more one can't). Every tool runs in a process of its own,
50 hosts at once, in turns; figures are medians over the rounds. CPU is that of the tool's process (for
Ansible also of its children), never that of sshd, and without the time to import libraries (for Ansible
with it, since each call of it pays that). Cold means that connections are made, warm that they are
there. Host keys are verified, except by parallel-ssh, which does not do so unless told.

Then the same hosts, all at once, while each sshd has the MaxStartups that it comes with (10:30:100) and
so drops connections: none may be told as failed. And 1,000 sessions at once in a master, on the hosts of
``quarterdeck simulate``: the memory that they add to it (150 MB at most), and how soon all are cancelled and
proved gone.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.ssh_figures import AT_ONCE, COMMAND, Fleet, medians
from bench.ssh_sessions import sessions_held
from tests.sshd import SshServer, free_port, make_keys, missing_sshd, open_folder

ADDRESSES_A_SERVER = 16
BUDGETS = {"cold_cpu_ms": 4.0, "warm_cpu_ms": 0.5, "sessions_megabytes_more": 150.0, "failed_by_startups": 0}
RIVALS = ("paramiko", "parallel-ssh", "pyinfra")


@contextlib.contextmanager
def fleet_of(hosts: int, **options: str) -> Iterator[Fleet]:
    """Yield so many hosts of real sshd, which end with the block."""
    with open_folder() as folder:
        (folder / "keys").mkdir(mode=0o755)
        keys = make_keys(folder / "keys")
        servers = []
        port = free_port()
        try:
            for number, first in enumerate(range(0, hosts, ADDRESSES_A_SERVER)):
                home = folder / f"sshd-{number}"
                home.mkdir()
                last = min(ADDRESSES_A_SERVER, hosts - first)
                addresses = tuple(f"127.1.{number + 1}.{end}" for end in range(1, last + 1))
                server = SshServer(home, keys, addresses, port, options)
                servers.append(server)
                server.start()
            yield _fleet(folder, servers, port)
        finally:
            for server in servers:
                server.vanish()


def _fleet(folder: Path, servers: list[SshServer], port: int) -> Fleet:
    host_keys = {address: server.host_key for server in servers for address in server.addresses}
    known_hosts = folder / "known_hosts"
    known_hosts.write_text("".join(f"[{address}]:{port} {line}\n" for address, line in host_keys.items()))
    return Fleet(list(host_keys), port, host_keys, str(folder / "keys/good"), str(known_hosts))


def dropped_by(fleet: Fleet) -> int:
    """Return how many connections the servers say that they dropped for their MaxStartups."""
    logs = Path(fleet.known_hosts).parent.glob("sshd-*/log")
    return sum(log.read_text(errors="replace").count("drop connection") for log in logs)


def in_own_process(module: str, what: str, fleet: Fleet) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module, what],
        input=json.dumps(fleet.__dict__),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{what}: {done.stderr[-3000:]}"
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def against_others(hosts: int, rounds: int, *, with_ansible: bool) -> dict[str, dict[str, float]]:
    """Return the figures of each tool, taken in turns on the same hosts."""
    measured: dict[str, list[dict[str, float]]] = {"quarterdeck": [], **{rival: [] for rival in RIVALS}}
    with fleet_of(hosts, MaxStartups="500") as fleet:
        for _ in range(rounds):
            measured["quarterdeck"].append(in_own_process("bench.ssh_own", "runs", fleet))
            for rival in RIVALS:
                measured[rival].append(in_own_process("bench.ssh_rivals", rival, fleet))
        results = {tool: medians(figures) for tool, figures in measured.items()}
        if with_ansible:
            results["ansible raw"] = in_own_process("bench.ssh_rivals", "ansible raw", fleet)
    return results


def benchmark(hosts: int, rounds: int, *, with_ansible: bool) -> dict[str, Any]:
    load = os.getloadavg()[0]
    results = against_others(hosts, rounds, with_ansible=with_ansible)
    with fleet_of(hosts, MaxStartups="10:30:100", LogLevel="VERBOSE") as fleet:
        startups = in_own_process("bench.ssh_own", "startups", fleet) | {"dropped": dropped_by(fleet)}
    sessions = sessions_held()
    ours = results["quarterdeck"] | {
        "sessions_megabytes_more": sessions["megabytes_more"],
        "failed_by_startups": startups["failed"],
    }
    fastest = min(figures["cold_wall_s"] for tool, figures in results.items() if tool != "quarterdeck")
    alone = {"ansible_raw": results.pop("ansible raw")} if with_ansible else {}
    names = ("asyncssh", "paramiko", "parallel-ssh", "pyinfra", "ansible-core")
    return {
        "command": COMMAND,
        "hosts": hosts,
        "at_once": AT_ONCE,
        "rounds": rounds,
        "load_average": load,
        "versions": {name: version(name) for name in names},
        "results": results,
        **alone,
        "startups_10_30_100": startups,
        "sessions_held": sessions,
        "budgets": BUDGETS,
        "within_budget": {
            **{name: ours[name] <= limit for name, limit in BUDGETS.items()},
            "cold_wall_not_above_the_fastest_other": ours["cold_wall_s"] <= fastest,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-ansible", action="store_true")
    arguments = parser.parse_args()
    if reason := missing_sshd():
        sys.exit(reason)
    figures = benchmark(arguments.hosts, arguments.rounds, with_ansible=not arguments.no_ansible)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
