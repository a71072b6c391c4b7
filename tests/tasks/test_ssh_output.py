"""Commands over SSH on real OpenSSH servers: exact output, exit, many at once, cut connections."""

import asyncio
import hashlib
import shlex
from pathlib import Path

import pytest

from quarterdeck.core.errors import Invalid
from quarterdeck.hosts.ssh import Reason, SshError, SshPool, SshTarget
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.ssh.execution import SshExecution
from quarterdeck.tasks.ssh.shell import LONGEST_LINE_BYTES, Marker
from quarterdeck.tasks.states import RunState
from tests.sshd import StartSshd, login, open_folder
from tests.tasks.ssh_factories import Received, run_on


async def says_its_own(pool: SshPool, target: SshTarget, word: str) -> None:
    result, sink = await run_on(pool, target, f"echo {word}; echo {word} >&2")
    assert (result.state, result.exit_status, result.message) == (RunState.SUCCEEDED, 0, "")
    assert (sink.out, sink.err, sink.starts) == (f"{word}\n".encode(), f"{word}\n".encode(), 1)


async def test_output_streams_and_exit_status_are_exact(pool: SshPool, sshd: StartSshd) -> None:
    result, sink = await run_on(pool, sshd().target(), "printf 'a\\0b\\377'; printf err >&2; exit 3")
    assert (sink.out, sink.err) == (b"a\0b\xff", b"err")
    assert (result.state, result.exit_status) == (RunState.FAILED, 3)


async def test_df_shows_the_root(pool: SshPool, sshd: StartSshd) -> None:
    result, sink = await run_on(pool, sshd().target(), "df -h /")
    assert result.state is RunState.SUCCEEDED
    assert sink.out.startswith(b"Filesystem")


async def test_thirty_commands_at_once_on_one_host(pool: SshPool, sshd: StartSshd) -> None:
    target = sshd().target()
    await asyncio.gather(*(says_its_own(pool, target, f"word-{number}") for number in range(30)))


async def test_one_command_on_fifty_hosts(pool: SshPool, sshd: StartSshd) -> None:
    servers = [
        sshd(tuple(f"127.0.{group}.{last}" for last in range(1, 11)), MaxStartups="50")
        for group in range(1, 6)
    ]
    targets = [server.target(address=address) for server in servers for address in server.addresses]
    assert len(targets) == 50
    await asyncio.gather(*(says_its_own(pool, target, target.address) for target in targets))


async def test_few_startups_never_look_like_a_host_that_is_down(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd(MaxStartups="2:100:5", MaxSessions="1")
    target = server.target()
    await asyncio.gather(*(says_its_own(pool, target, f"word-{number}") for number in range(20)))


async def test_connections_of_many_pools_survive_few_startups(sshd: StartSshd) -> None:
    target = sshd(MaxStartups="2:100:5").target(connect_seconds=30)
    pools = [SshPool() for _ in range(20)]
    await asyncio.gather(*(says_its_own(pool, target, f"word-{n}") for n, pool in enumerate(pools)))
    for pool in pools:
        await pool.close()


async def test_few_sessions_a_connection_are_enough(pool: SshPool, sshd: StartSshd) -> None:
    target = sshd(MaxSessions="2").target()
    await asyncio.gather(*(says_its_own(pool, target, f"word-{number}") for number in range(20)))


async def test_server_without_sessions_says_so(pool: SshPool, sshd: StartSshd) -> None:
    with pytest.raises(SshError) as caught:
        await run_on(pool, sshd(MaxSessions="0").target(), "true")
    assert caught.value.reason is Reason.SESSION
    assert "MaxSessions" in caught.value.message


async def test_ten_megabytes_arrive_unchanged(pool: SshPool, sshd: StartSshd, tmp_path: Path) -> None:
    content = hashlib.shake_256(b"seed").digest(10_000_000)
    (tmp_path / "content").write_bytes(content)
    _, sink = await run_on(pool, sshd().target(), f"cat {tmp_path}/content; cat {tmp_path}/content >&2")
    assert sink.out == content
    assert sink.err == content


class SlowSink(Received):
    """Takes its time with each chunk, and knows how much was handed over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    async def write(self, stream: Stream, data: bytes) -> None:
        self.largest = max(self.largest, len(data))
        await asyncio.sleep(0.005)
        await super().write(stream, data)


async def test_slow_reader_holds_the_command_back_and_loses_nothing(pool: SshPool, sshd: StartSshd) -> None:
    sink = SlowSink()
    result = await SshExecution(pool, sshd().target(), "head -c 20000000 /dev/zero").run(sink)
    assert result.state is RunState.SUCCEEDED
    assert len(sink.out) == 20_000_000
    assert sink.largest < 1_000_000


async def test_output_after_the_end_of_the_command_is_drained(pool: SshPool, sshd: StartSshd) -> None:
    _, sink = await run_on(pool, sshd().target(), "(sleep 0.5; echo late) & echo early")
    assert sink.out == b"early\nlate\n"


async def test_left_over_child_does_not_hold_the_run(
    pool: SshPool, sshd: StartSshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quarterdeck.tasks.ssh.execution._SILENCE_SECONDS", 0.3)
    result, sink = await run_on(pool, sshd().target(), "sleep 20 & echo started")
    assert (result.state, sink.out) == (RunState.SUCCEEDED, b"started\n")
    assert "still holds its output open" in result.message


async def test_signal_is_told(pool: SshPool, sshd: StartSshd) -> None:
    result, _ = await run_on(pool, sshd().target(), "kill -SEGV $$")
    assert (result.state, result.exit_status) == (RunState.FAILED, None)
    assert result.message == "Ended by signal SEGV."
    assert result.details == {"signal": "SEGV"}


async def test_standard_input_is_closed(pool: SshPool, sshd: StartSshd) -> None:
    result, sink = await run_on(pool, sshd().target(), "cat; tty")
    assert (result.exit_status, sink.out) == (1, b"not a tty\n")


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash", "/bin/sh"])
async def test_login_shells_pass_any_words_on(pool: SshPool, sshd: StartSshd, shell: str) -> None:
    words = "a'b\"c\\d \\\\ \\' $HOME `id` !x %s *\n\té\U0001f600 #;&|<>(){}[]~"
    with login(shell) as person:
        target = sshd().target(username=person.name)
        _, sink = await run_on(pool, target, f"printf %s {shlex.quote(words)}; readlink /proc/$PPID/exe")
    assert sink.out.decode().startswith(words)


async def test_talkative_login_shell_is_passed_on_and_does_not_confuse(
    pool: SshPool, sshd: StartSshd
) -> None:
    with open_folder() as home:
        await talk_while_starting(pool, sshd, home)


async def talk_while_starting(pool: SshPool, sshd: StartSshd, home: Path) -> None:
    (home / ".bashrc").write_text("echo hello from bashrc >&2; printf 'no newline' >&2; set -x\n")
    server = sshd(SetEnv=f"HOME={home}")
    with login("/bin/bash", home=home) as person:
        result, sink = await run_on(pool, server.target(username=person.name), "echo out; echo err >&2")
    assert (result.state, sink.out) == (RunState.SUCCEEDED, b"out\n")
    assert sink.err.startswith(b"hello from bashrc\nno newline")
    assert sink.err.endswith(b"err\n")


async def test_account_without_a_shell_is_explained(pool: SshPool, sshd: StartSshd) -> None:
    with login("/usr/sbin/nologin") as person:
        result, _ = await run_on(pool, sshd().target(username=person.name), "true")
    assert result.state is RunState.FAILED
    assert "did not run the command" in result.message


async def test_cut_in_the_middle_is_lost(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    sink = Received()
    running = asyncio.ensure_future(SshExecution(pool, server.target(), "echo begun; sleep 30").run(sink))
    await appears(lambda: sink.out == b"begun\n")
    server.cut()
    result = await running
    assert (result.state, result.exit_status) == (RunState.LOST, None)
    assert "was cut while the command ran" in result.message


async def test_connection_that_died_unnoticed_is_replaced_once(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    await says_its_own(pool, server.target(), "first")
    server.cut()  # the loop has not heard of it when the next command is sent
    await says_its_own(pool, server.target(), "second")


async def test_run_that_is_dropped_leaves_the_connection_usable(pool: SshPool, sshd: StartSshd) -> None:
    target = sshd(MaxSessions="1").target()
    for delay in (0, 0, 0.02, 0.1):
        running = asyncio.ensure_future(SshExecution(pool, target, "sleep 20").run(Received()))
        await asyncio.sleep(delay)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await says_its_own(pool, target, "after")


async def test_failing_sink_ends_the_run_with_its_error(pool: SshPool, sshd: StartSshd) -> None:
    class Full(Received):
        async def write(self, stream: Stream, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        await SshExecution(pool, sshd().target(), "echo x").run(Full())


async def test_error_before_the_start_is_raised_and_nothing_started(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    sink = Received()
    with pytest.raises(SshError):
        await SshExecution(pool, server.target(private_key=server.keys.wrong), "true").run(sink)
    assert sink.starts == 0


@pytest.mark.parametrize("command", ["", " \n", "a\0b", "a\ud800", "x" * (LONGEST_LINE_BYTES)])
def test_command_that_no_shell_takes_is_refused(command: str) -> None:
    target = SshTarget(host_id="1", name="web", address="127.0.0.1", username="ops")
    with pytest.raises(Invalid) as caught:
        SshExecution(SshPool(), target, command)
    assert list(caught.value.fields) == ["command"]


async def test_long_command_of_quotes_arrives(pool: SshPool, sshd: StartSshd) -> None:
    words = "'\\" * 4_000
    _, sink = await run_on(pool, sshd().target(), f"printf %s {shlex.quote(words)} | wc -c")
    assert sink.out == b"8000\n"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_mark_is_found_in_chunks_of_any_size(size: int) -> None:
    text = b"noise m1 x" + b"m1 12345 678\n" + b"m1 99 1\nerr"
    marker = Marker("m1")
    passed = b"".join(marker.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert passed + marker.rest() == b"noise m1 xm1 99 1\nerr"
    assert (marker.group, marker.start) == (12345, "678")


async def appears(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
