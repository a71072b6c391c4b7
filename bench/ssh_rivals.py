"""The same command on the same hosts by others: paramiko, parallel-ssh, pyinfra and Ansible.

Each runs in a process of its own: ``python -m bench.ssh_rivals TOOL`` reads the fleet as JSON. Every tool
is used as its documentation shows, with connections that are kept where it can keep them.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.ssh_figures import AT_ONCE, COMMAND, Fleet, timed


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
            lambda: list(threads.map(connect, fleet.addresses)),
            lambda: list(threads.map(run, fleet.addresses)),
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


def pyinfra(fleet: Fleet) -> dict[str, float]:
    from gevent import monkey

    monkey.patch_all()  # as its command line does before anything else
    from pyinfra.api import Config, Inventory, State, StringCommand
    from pyinfra.api.connect import connect_all, disconnect_all

    login = {
        "ssh_user": "root",
        "ssh_port": fleet.port,
        "ssh_key": fleet.key_file,
        "ssh_known_hosts_file": fleet.known_hosts,
        "ssh_strict_host_key_checking": "yes",
        "ssh_config_file": os.devnull,
    }
    state = State(Inventory((fleet.addresses, login)), Config(PARALLEL=AT_ONCE, CONNECT_TIMEOUT=60))

    def run_on(host: Any) -> None:
        is_good, output = host.run_shell_command(StringCommand(COMMAND))
        assert is_good
        assert output.stdout.startswith("Filesystem")

    def run() -> None:
        list(state.pool.imap_unordered(run_on, state.inventory))

    def connect() -> None:
        connect_all(state)
        assert len(state.activated_hosts) == len(fleet.addresses)
        run()

    figures = timed(len(fleet.addresses), connect, run)
    disconnect_all(state)
    return figures


def ansible(fleet: Fleet) -> dict[str, float]:
    """Run Ansible's ad hoc command once; its control connections would outlive it, so they are off."""
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder, "inventory")
        inventory.write_text("".join(f"{each} ansible_port={fleet.port}\n" for each in fleet.addresses))
        options = f"-o UserKnownHostsFile={fleet.known_hosts} -o ControlMaster=no"
        command = [str(Path(sys.executable).with_name("ansible")), "all", "-i", str(inventory), "-u", "root"]
        command += ["--private-key", fleet.key_file, "-f", str(AT_ONCE), "-m", "raw", "-a", COMMAND]
        environment = {**os.environ, "ANSIBLE_SSH_ARGS": options, "ANSIBLE_LOCAL_TEMP": f"{folder}/ansible"}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.count("rc=0") == len(fleet.addresses), done.stdout[-2000:] + done.stderr[-2000:]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cold_cpu_ms": round(cpu * 1000 / len(fleet.addresses), 3), "cold_wall_s": round(wall, 3)}


RIVALS = {"paramiko": paramiko, "parallel-ssh": parallel_ssh, "pyinfra": pyinfra, "ansible raw": ansible}


if __name__ == "__main__":
    print(json.dumps(RIVALS[sys.argv[1]](Fleet(**json.load(sys.stdin)))))
