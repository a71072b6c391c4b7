"""SSH hosts that are sampled through a shell channel: real ones, and some that print anything."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.clock import SystemClock
from quarterdeck.hosts.models import HostState
from quarterdeck.hosts.ssh import SshError, SshPool
from quarterdeck.metrics.attention import Attention
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.metrics.ssh import shell as ssh_shell
from quarterdeck.metrics.ssh.figures import frame_between, read_answer, read_facts
from quarterdeck.metrics.ssh.sampling import SshSampling
from quarterdeck.metrics.ssh.shell import Parts, ShellChannel, parts_of
from tests.deck import wait_until
from tests.hosts.factories import Node, open_node, ssh_draft
from tests.sshd import SshServer, StartSshd

STAT = ["cpu  9 9 9 9", "cpu0 100 0 50 800 50 0 0 0 0 0", "cpu1 100 0 50 800 50 0 0 0 0 0", "intr 1"]
MEMORY = ["MemTotal:  1000 kB", "MemAvailable: 250 kB", "SwapTotal: 100 kB", "SwapFree: 90 kB"]


def answer(**more: list[str]) -> Parts:
    parts = {"stat": STAT, "meminfo": MEMORY, "loadavg": ["0.52 0.40 0.31 1/200 9"], "processes": ["123"]}
    return parts | {
        name.replace("_", "/", 1) if name == "net_dev" else name: lines for name, lines in more.items()
    }


# --- what is read ---


def test_figures_are_those_between_two_answers() -> None:
    later = ["cpu0 150 0 50 850 50 0 0 0 0 0", "cpu1 100 0 50 890 60 0 0 0 0 0"]
    before = read_answer(answer(diskstats=[disk("sda", 0, 0)], net_dev=[net("eth0", 0, 0)]), 10)
    after = read_answer(
        answer(
            stat=later,
            diskstats=[disk("sda", 8, 16)],
            net_dev=[net("eth0", 2_000, 400)],
            df=[room("/", 100, 20)],
        ),
        12,
    )
    assert before is not None
    assert after is not None
    assert after.mounts is not None
    frame = frame_between(before, after, after.mounts, 99)
    assert frame.cores == [50, 0]
    assert frame.values == {
        "cpu": 25,
        "cpu_wait": 5,
        "load": 0.52,
        "memory": 75,
        "swap": 10,
        "disk": 80,
        "disk_read": 2_048,
        "disk_write": 4_096,
        "received": 1_000,
        "sent": 200,
        "processes": 123,
    }


def disk(name: str, read: int, written: int) -> str:
    return f"   8       0 {name} 10 0 {read} 7 10 0 {written} 9 0 5 6 0 0"


def net(name: str, received: int, sent: int) -> str:
    return f"  {name}: {received} 1 0 0 0 0 0 0 {sent} 2 0 0 0 0 0 0"


def room(path: str, total: int, available: int, device: str = "/dev/vda1") -> str:
    return f"{device} {total} {total - available} {available} 50% {path}"


def test_parts_of_a_disk_are_not_counted_twice() -> None:
    names = ("sda", "sda1", "nvme0n1", "nvme0n1p2", "dm-0", "loop3", "vdb")
    said = read_answer(answer(diskstats=[disk(name, 2, 0) for name in names]), 0)
    assert said is not None
    assert said.counters.disk_read == 3 * 2 * 512


def test_only_disks_are_file_systems() -> None:
    lines = [
        "Filesystem 1024-blocks Used Available Capacity Mounted on",
        room("/run", 10, 5, "tmpfs"),
        room("/", 100, 20),
        room("/bound", 100, 20),
        room("/share here", 50, 5, "nas:/share"),
        room("/snap/x", 10, 0, "/dev/loop3"),
    ]
    said = read_answer(answer(df=lines), 0)
    assert said is not None
    assert said.mounts is not None
    assert [mount.path for mount in said.mounts] == ["/", "/share here"]


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"stat": STAT},
        {"meminfo": MEMORY},
        {"stat": ["cpu0 -1 0 0 0 0"], "meminfo": MEMORY},
        {"stat": ["cpu0 " + "9" * 400 + " 0 0 0 0"], "meminfo": MEMORY},
        {"stat": ["$(reboot)"], "meminfo": ["MemTotal: many kB"]},
    ],
)
def test_a_host_without_proc_has_no_figures(parts: Parts) -> None:
    assert read_answer(parts, 0) is None


def test_what_a_hostile_host_prints_is_numbers_or_nothing() -> None:
    said = read_answer(
        answer(
            stat=[f"cpu{number} {'9' * 20} 0 0 0 0" for number in range(5_000)],
            loadavg=["nan"],
            processes=["-5"],
            net_dev=[net(f"\x1b[2J{number}", 10**19, 10**19) for number in range(500)],
            df=[room(f"/{number}\x1b[31m", 10**15, 10**15) for number in range(500)] + ["x" * 100_000],
        ),
        0,
    )
    assert said is not None
    frame = frame_between(said, said, said.mounts or [], 1)
    assert len(frame.cores or []) == 1024
    assert "load" not in frame.values
    assert "processes" not in frame.values
    assert len(frame.interfaces or []) == 64
    assert all(each.name.isprintable() for each in frame.interfaces or [])
    assert all(each.path.isprintable() for each in frame.mounts or [])
    facts = read_facts(
        answer(uname=["\x1b]0;owned\x07" + "h" * 9_000], uptime=["x"])
        | {"os-release": ['PRETTY_NAME="a\tb"']},
        said,
        1_000,
    )
    assert facts.hostname.isprintable()
    assert len(facts.hostname) <= 253
    assert (facts.system, facts.booted_at) == ("ab", 0)


def test_an_answer_is_cut_at_its_marks() -> None:
    said = b"Welcome!\nm1 stat\na\nb\nm1 df\nc\nm1 end\n"
    assert parts_of(said, "m1") == {"stat": ["a", "b"], "df": ["c"], "end": []}


# --- a channel to a real host ---


async def test_a_channel_answers_again_and_again(pool: SshPool, sshd: StartSshd) -> None:
    channel = await ShellChannel.open(pool, sshd().target())
    parts = await channel.ask("facts", "disks")
    said = read_answer(parts, 0)
    assert said is not None
    assert len(said.counters.cores) == psutil.cpu_count()
    assert said.memory["MemTotal"] == pytest.approx(psutil.virtual_memory().total, rel=0.01)
    assert said.mounts
    assert read_facts(parts, said, time.time()).booted_at == pytest.approx(psutil.boot_time(), abs=5)
    for _ in range(5):
        assert "df" not in await channel.ask()
    channel.close()


async def test_a_channel_takes_one_session_and_gives_it_back(pool: SshPool, sshd: StartSshd) -> None:
    target = sshd().target()
    for _ in range(12):  # more than a connection carries at once
        channel = await ShellChannel.open(pool, target)
        await channel.ask()
        channel.close()
    assert pool.connections() == 1


async def test_a_host_that_floods_is_cut_off(
    pool: SshPool, sshd: StartSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_shell, "COMMAND", "yes")
    channel = await ShellChannel.open(pool, sshd().target())
    with pytest.raises(SshError, match="more than any machine"):
        await channel.ask()
    channel.close()


async def test_a_host_that_says_nothing_is_given_up(
    pool: SshPool, sshd: StartSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_shell, "COMMAND", "sleep 60")
    monkeypatch.setattr(ssh_shell, "ANSWER_SECONDS", 0.3)
    channel = await ShellChannel.open(pool, sshd().target())
    with pytest.raises(SshError, match="did not answer"):
        await channel.ask()
    channel.close()


async def test_a_shell_that_ends_is_noticed(
    pool: SshPool, sshd: StartSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_shell, "COMMAND", "true")
    channel = await ShellChannel.open(pool, sshd().target())
    with pytest.raises(SshError, match=r"ended the shell|cut the shell off"):
        await channel.ask()
    channel.close()


# --- a master that samples ---


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with open_node(tmp_path / "home") as node:
        yield node


class Sampling:
    """What a master does of it, on the node's loop."""

    def __init__(self, node: Node, tag: str) -> None:
        self.fleet, clock = Fleet(), SystemClock()
        self.node = node
        self.attention = Attention(
            node.hosts, clock, watch_own=lambda host_id, *_: self.sampling.watch(host_id), fleet=self.fleet
        )
        self.sampling = SshSampling(node.hosts, node.pool, self.fleet, self.attention, clock, tag=tag)
        self.running = node.loop.submit(self.sampling.run())

    def now(self, host_id: str) -> HostNow | None:
        return self.fleet.now(host_id)

    def sees(self, host_id: str) -> bool:
        now = self.now(host_id)
        return now is not None and now.at > 0


def add(node: Node, server: SshServer, name: str, *tags: str) -> str:
    return node.hosts.add_host(SYSTEM, ssh_draft(server, name, tags=tags), confirm_key=False).id


def test_only_hosts_with_the_tag_are_sampled(node: Node, sshd: StartSshd) -> None:
    server = sshd()
    chosen, other = add(node, server, "chosen", "sampled"), add(node, server, "other")
    sampling = Sampling(node, "sampled")
    wait_until(lambda: sampling.sees(chosen), "the first sample", 20)
    now = sampling.now(chosen)
    assert now is not None
    assert {"cpu", "memory", "load", "disk", "processes"} <= now.values.keys()
    assert now.facts is not None
    assert now.facts.processors == psutil.cpu_count()
    assert not sampling.sees(other)
    assert node.hosts.get("chosen").state is HostState.WELL
    sampling.running.cancel()


def test_without_a_tag_nobody_is_sampled(node: Node, sshd: StartSshd) -> None:
    add(node, sshd(), "chosen", "sampled")
    sampling = Sampling(node, "")
    assert sampling.running.result(5) is None
    assert not sampling.fleet.all()


def test_a_host_that_somebody_looks_at_is_sampled_each_second(node: Node, sshd: StartSshd) -> None:
    chosen = add(node, sshd(), "chosen", "sampled")
    sampling = Sampling(node, "sampled")
    wait_until(lambda: sampling.sees(chosen), "the first sample", 20)
    sampling.attention.look([chosen])
    now = sampling.now(chosen)
    assert now is not None
    wait_until(lambda: len(now.ring) >= 5, "a sample each second", 40)
    sampling.running.cancel()


def test_a_host_that_goes_away_is_lost_and_comes_back(
    node: Node, sshd: StartSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quarterdeck.metrics.ssh.host._LEAST_PAUSE", 0.2)
    server = sshd()
    chosen = add(node, server, "chosen", "sampled")
    sampling = Sampling(node, "sampled")
    wait_until(lambda: sampling.sees(chosen), "the first sample", 20)
    server.vanish()
    sampling.attention.look([chosen])
    wait_until(lambda: node.hosts.get("chosen").state is HostState.LOST, "the loss", 30)
    server.start()
    now = sampling.now(chosen)
    assert now is not None
    count = len(now.ring)
    wait_until(lambda: len(now.ring) > count, "samples again", 30)
    wait_until(lambda: node.hosts.get("chosen").state is HostState.WELL, "the state", 30)
    sampling.running.cancel()


def test_a_removed_host_is_left_alone(node: Node, sshd: StartSshd) -> None:
    chosen = add(node, sshd(), "chosen", "sampled")
    sampling = Sampling(node, "sampled")
    wait_until(lambda: sampling.sees(chosen), "the first sample", 20)
    node.hosts.remove_host(SYSTEM, "chosen")
    node.loop.run(sampling.sampling.follow_list())
    assert not sampling.sampling._tasks

    async def connections() -> int:
        await asyncio.sleep(0.2)
        return node.pool.connections()

    assert node.loop.run(connections()) == 0
    sampling.running.cancel()
