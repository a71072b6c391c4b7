"""What a simulated fleet is made of: who behaves how, what is answered, which lines are understood."""

from collections import Counter

import pytest

from quarterdeck.core.errors import Invalid
from quarterdeck.tasks.simulation.answers import Err, Exit, Out, Pause, steps_of
from quarterdeck.tasks.simulation.fleet import Manner, Places, Shares, SimulatedHost, ssh_hosts
from quarterdeck.tasks.simulation.lines import Ending, Plain, Running, read_line
from quarterdeck.tasks.simulation.timing import MaxStartups
from quarterdeck.tasks.ssh.shell import Marker, running_line

HOST = SimulatedHost("sim-0001", "127.77.0.1", 2222, Manner.WELL, 0)


def test_what_is_asked_for_is_made_exactly() -> None:
    shares = Shares(failing=3, refusing=2, slow=1, differing=5)
    hosts = ssh_hosts(1000, Places(2222), shares, seed=1)
    counts = Counter(host.manner for host in hosts)
    assert counts == {"well": 890, "failing": 30, "refusing": 10, "dropping": 10, "slow": 10, "differing": 50}
    assert hosts == ssh_hosts(1000, Places(2222), shares, seed=1)
    assert hosts != ssh_hosts(1000, Places(2222), shares, seed=2)
    assert len({(host.address, host.port) for host in hosts}) == 1000


def test_one_address_is_enough_where_there_is_only_one() -> None:
    hosts = ssh_hosts(3, Places(2222, has_addresses=False), Shares(), seed=1)
    assert [(host.address, host.port) for host in hosts] == [("127.0.0.1", 2222 + n) for n in range(3)]


def test_more_than_all_hosts_is_refused() -> None:
    with pytest.raises(Invalid, match="more than 100 %"):
        ssh_hosts(10, Places(2222), Shares(failing=60, slow=50), seed=1)


@pytest.mark.parametrize(
    "command", ["df -h /", "echo 'it''s'", 'printf "%s\\n" "a b" \\\\', "a\nb", "ü $HOME `x` *"]
)
def test_lines_of_quarterdeck_are_read_as_a_shell_would(command: str) -> None:
    assert read_line(running_line("m" * 32, command)) == Running("m" * 32, command)


def test_group_is_told_as_quarterdeck_reads_it() -> None:
    marker = Marker("m" * 32)
    assert marker.feed(Running("m" * 32, "true").told(1234) + b"an error\n") == b"an error\n"
    assert marker.group == 1234


def test_other_scripts_are_about_a_mark() -> None:
    line = "exec sh -c 'mark=$1 group=$2; kill …' sh the-mark 812 5 </dev/null"
    assert read_line(line) == Ending("the-mark", line)


@pytest.mark.parametrize("line", ["", "df -h /", "exec sh -c uptime", "echo 'open"])
def test_other_lines_are_plain(line: str) -> None:
    assert read_line(line) == Plain(line)


@pytest.mark.parametrize(
    ("command", "out", "status"),
    [
        ("uptime", b" 12:00:00 up 41 days,  3:12,  1 user,  load average: 0.08, 0.11, 0.09\n", 0),
        ("systemctl is-active nginx", b"active\n", 0),
        ("seq 3; echo 'a  b' c", b"1\n2\n3\na  b c\n", 0),
        ("seq 2 3 && false && echo never; echo yes", b"2\n3\nyes\n", 0),
        ("echo one\necho two", b"one\ntwo\n", 0),
        ("false", b"", 1),
        ("", b"", 0),
        ("no-such-command", b"", 127),
        ("df /tmp", b"", 2),
        ("seq 1 99999999999", b"", 2),
        ("sleep forever", b"", 2),
        ("echo a | wc", b"", 2),
        ("echo 'open", b"", 2),
    ],
)
def test_answers(command: str, out: bytes, status: int) -> None:
    *steps, end = steps_of(HOST, command)
    assert b"".join(step.data for step in steps if isinstance(step, Out)) == out
    assert end == Exit(status)
    assert any(isinstance(step, Err) for step in steps) == (status in (2, 127))


def test_sleep_is_a_pause_and_runs_nothing() -> None:
    assert list(steps_of(HOST, "sleep 0.5")) == [Pause(0.5), Exit(0)]


@pytest.mark.parametrize(("waiting", "percent"), [(0, 0), (9, 0), (10, 30), (55, 65), (100, 100), (150, 100)])
def test_startups_are_dropped_as_by_sshd(waiting: int, percent: float) -> None:
    assert MaxStartups.read("10:30:100").percent_dropped(waiting) == percent


@pytest.mark.parametrize(
    "text", ["", "10", "10:30", "0:30:100", "100:30:10", "10:101:100", "a:b:c", "-1:2:3"]
)
def test_startups_that_sshd_would_not_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"first number|as sshd does"):
        MaxStartups.read(text)
