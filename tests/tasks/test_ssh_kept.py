"""Commands that go on without their connection, on real OpenSSH servers."""

import asyncio
import hashlib
import os
import pwd
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from quarterdeck.hosts.ssh import SshError, SshPool
from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.ssh.kept import KeptExecution
from quarterdeck.tasks.ssh.kept_shell import Visit
from quarterdeck.tasks.states import RunState
from tests.sshd import SshServer, StartSshd, login, open_folder
from tests.tasks.kept_factories import Kept, until
from tests.tasks.kept_factories import server as server


def printed(kept: Kept, text: bytes, size: int = 0) -> bool:
    return text in kept.sink.out and len(kept.sink.out) > size


def other_places(person: str) -> list[Path]:
    """Return where the output of somebody without a home is kept."""
    number = pwd.getpwnam(person).pw_uid
    return [Path(place, f"quarterdeck-{number}") for place in ("/var/tmp", "/tmp")]  # noqa: S108 - as meant


def spool(tmp_path: Path, mark: str) -> Path:
    return tmp_path / "state" / "quarterdeck" / mark


async def test_output_streams_and_exit_status_are_exact(pool: SshPool, server: SshServer) -> None:
    kept = Kept(pool, server.target(), "printf 'a\\0b\\377'; printf err >&2; exit 3")
    result = await kept.result
    assert (kept.sink.out, kept.sink.err, kept.sink.starts) == (b"a\0b\xff", b"err", 1)
    assert (result.state, result.exit_status, result.message) == (RunState.FAILED, 3, "")


async def test_command_that_prints_nothing_succeeds(pool: SshPool, server: SshServer) -> None:
    kept = Kept(pool, server.target(), "true")
    assert (await kept.result).state is RunState.SUCCEEDED
    assert (kept.sink.chunks, kept.sink.starts) == ([], 1)


async def test_folder_on_the_host_is_private_and_removed_afterwards(
    pool: SshPool, server: SshServer, tmp_path: Path
) -> None:
    kept = await Kept(pool, server.target(), "umask; echo begun").begun()
    await kept.result
    folder = spool(tmp_path, kept.mark)
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    assert {path.stat().st_mode & 0o077 for path in folder.glob("*") if path.name != "group"} == {0}
    assert kept.sink.out == b"0022\nbegun\n"
    await kept.execution.remove()
    assert list(folder.parent.iterdir()) == []


async def test_cut_in_the_middle_is_followed_again_without_loss(pool: SshPool, server: SshServer) -> None:
    command = "echo begun; for n in $(seq 2000); do echo line $n; echo e$n >&2; sleep 0.001; done"
    kept = await Kept(pool, server.target(), command).begun()
    for number in (300, 900, 1500):
        await until(partial(printed, kept, b"line %d\n" % number))
        server.cut()
    result = await kept.result
    assert (result.state, kept.sink.starts) == (RunState.SUCCEEDED, 1)
    assert kept.sink.out == b"begun\n" + b"".join(b"line %d\n" % number for number in range(1, 2001))
    assert kept.sink.err == b"".join(b"e%d\n" % number for number in range(1, 2001))
    assert "was cut" in kept.sink.notes[0]
    assert kept.sink.notes[-1] == ""


async def test_restarted_sshd_is_found_again(pool: SshPool, server: SshServer, tmp_path: Path) -> None:
    command = f"echo begun; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo end; exit 5"
    kept = await Kept(pool, server.target(), command).begun()
    server.vanish()
    await until(lambda: len(kept.sink.notes) >= 2)
    (tmp_path / "go").touch()
    server.start()
    result = await kept.result
    assert (result.exit_status, kept.sink.out) == (5, b"begun\nend\n")


async def test_host_that_stays_away_makes_it_lost_and_says_so(pool: SshPool, server: SshServer) -> None:
    kept = await Kept(pool, server.target(), "echo begun; sleep 20", patience_seconds=0.5).begun()
    server.vanish()
    result = await kept.result
    assert (result.state, result.exit_status) == (RunState.LOST, None)
    assert "how the command ended is not known" in result.message
    server.start()
    assert (await kept.again().cancel())[0] is True


async def test_changed_host_key_is_not_tried_again(pool: SshPool, server: SshServer) -> None:
    kept = await Kept(pool, server.target(), "echo $$; echo begun; exec sleep 300").begun()
    server.vanish()
    server.change_host_key()
    result = await kept.result
    os.kill(int(kept.sink.out.split()[0]), signal.SIGKILL)
    assert (result.state, "host key" in result.message) == (RunState.LOST, True)


async def test_same_line_sent_twice_at_once_runs_once(
    pool: SshPool, server: SshServer, tmp_path: Path
) -> None:
    first = Kept(pool, server.target(), f"echo ran >> {tmp_path}/count; echo begun; sleep 0.5; echo end")
    others = [first.again() for _ in range(4)]
    results = await asyncio.gather(*(kept.result for kept in (first, *others)))
    assert {result.state for result in results} == {RunState.SUCCEEDED}
    assert {kept.sink.out for kept in (first, *others)} == {b"begun\nend\n"}
    assert (tmp_path / "count").read_text() == "ran\n"


async def test_later_master_goes_on_at_the_right_byte(
    pool: SshPool, server: SshServer, tmp_path: Path
) -> None:
    first = await Kept(
        pool,
        server.target(),
        f"printf begun; until [ -e {tmp_path}/go ]; do sleep 0.05; done; printf end; printf e >&2",
    ).begun()
    await first.leave()
    (tmp_path / "go").touch()
    second = first.again(visit=Visit.ATTACH, seen=Sizes(5, 0), was_begun=True)
    assert (await second.result).state is RunState.SUCCEEDED
    assert (second.sink.out, second.sink.err) == (b"end", b"e")


async def test_later_master_finds_what_has_ended_meanwhile(pool: SshPool, server: SshServer) -> None:
    first = await Kept(pool, server.target(), "echo begun; exit 9").begun()
    await first.result
    second = first.again(visit=Visit.ATTACH)
    assert (await second.result).exit_status == 9
    assert second.sink.out == b"begun\n"


async def test_command_that_never_began_is_sealed(pool: SshPool, server: SshServer, tmp_path: Path) -> None:
    kept = Kept(pool, server.target(), f"touch {tmp_path}/ran", visit=Visit.ATTACH)
    result = await kept.result
    assert (result.state, kept.sink.starts) == (RunState.LOST, 0)
    assert "did not run" in result.message
    late = kept.again()  # a line of the first master that was still on its way
    assert "did not run" in (await late.result).message
    await kept.execution.remove()
    assert "did not run" in (await kept.again().result).message
    assert not (tmp_path / "ran").exists()


async def test_trace_that_is_gone_is_not_said_never_to_have_run(pool: SshPool, server: SshServer) -> None:
    kept = Kept(pool, server.target(), "true", visit=Visit.ATTACH, was_begun=True)
    assert "though it had begun" in (await kept.result).message


async def test_megabytes_of_both_streams_survive_cuts(
    pool: SshPool, server: SshServer, tmp_path: Path
) -> None:
    content = hashlib.shake_256(b"kept").digest(5_000_000)
    (tmp_path / "content").write_bytes(content)
    kept = Kept(pool, server.target(), f"cat {tmp_path}/content & cat {tmp_path}/content >&2; wait")
    for size in (100_000, 1_000_000):
        await until(partial(printed, kept, b"", size))
        server.cut()
    assert (await kept.result).state is RunState.SUCCEEDED
    assert kept.sink.out == content
    assert kept.sink.err == content


async def test_talkative_login_shell_does_not_shift_the_bytes(pool: SshPool, sshd: StartSshd) -> None:
    with open_folder() as home:
        (home / ".bashrc").write_text("echo hello; echo hello from bashrc >&2; set -x\n")
        server = sshd(SetEnv=f"HOME={home}")
        with login("/bin/bash", home=home) as person:
            home.chmod(0o777)
            kept = Kept(pool, server.target(username=person.name), "echo out; echo err >&2")
            assert (await kept.result).state is RunState.SUCCEEDED
    assert (kept.sink.out, kept.sink.err) == (b"out\n", b"err\n")


async def test_account_whose_home_is_not_writable_keeps_it_elsewhere(pool: SshPool, sshd: StartSshd) -> None:
    with login("/bin/dash") as person:
        kept = Kept(pool, sshd().target(username=person.name), "echo begun; pwd")
        assert (await kept.result).state is RunState.SUCCEEDED
        folder = other_places(person.name)[0]
        assert (folder.stat().st_mode & 0o777, (folder / kept.mark).is_dir()) == (0o700, True)
        await kept.execution.remove()
        folder.rmdir()


async def test_host_without_a_place_for_output_says_so(pool: SshPool, sshd: StartSshd) -> None:
    with login("/bin/sh") as person:
        for path in other_places(person.name):
            path.mkdir()  # somebody else's, here root's
        kept = Kept(pool, sshd().target(username=person.name), "echo ran")
        result = await kept.result
        for path in other_places(person.name):
            path.rmdir()
    assert (result.state, kept.sink.chunks) == (RunState.FAILED, [])
    assert "no folder where output can be kept" in result.message


async def test_output_beyond_the_limit_does_not_fill_the_host(
    pool: SshPool, server: SshServer, tmp_path: Path
) -> None:
    command = "head -c 3000000 /dev/zero; echo end >&2; exit 4"
    kept = Kept(pool, server.target(), command, output_bytes=100_000)
    result = await kept.result
    assert (result.exit_status, kept.sink.err) == (4, b"end\n")
    assert 100_000 < len(kept.sink.out) < 102_000
    assert (spool(tmp_path, kept.mark) / "out").stat().st_size == len(kept.sink.out)
    assert "reached the limit" in result.message


async def test_left_over_child_does_not_hold_the_run(pool: SshPool, server: SshServer) -> None:
    kept = Kept(pool, server.target(), "sleep 30 & echo $!; echo begun; exit 2")
    result = await kept.result
    os.kill(int(kept.sink.out.split()[0]), signal.SIGKILL)
    assert (result.exit_status, kept.sink.out.endswith(b"begun\n")) == (2, True)
    assert "still holds its output open" in result.message


async def test_keeper_that_is_killed_makes_it_lost(pool: SshPool, server: SshServer, tmp_path: Path) -> None:
    kept = await Kept(pool, server.target(), "echo begun; exec sleep 30").begun()
    group = int((spool(tmp_path, kept.mark) / "group").read_text().split()[0])
    os.killpg(group, signal.SIGKILL)
    result = await kept.result
    assert (result.state, result.exit_status) == (RunState.LOST, None)
    assert "without leaving its exit status" in result.message


async def test_left_over_folders_go_after_a_week(pool: SshPool, server: SshServer, tmp_path: Path) -> None:
    old, running, young = (spool(tmp_path, name) for name in ("0" * 32, "1" * 32, "2" * 32))
    for folder in (old, running, young):
        folder.mkdir(parents=True)
        (folder / "group").write_text(f"{os.getpid() if folder is running else 999_999_999} 1\n")
    before = time.time() - 8 * 86_400
    os.utime(old, (before, before))
    os.utime(running, (before, before))
    await Kept(pool, server.target(), "true").result
    await until(lambda: not old.exists())
    assert running.exists()
    assert young.exists()


async def test_forced_command_is_explained(pool: SshPool, sshd: StartSshd) -> None:
    kept = Kept(pool, sshd(ForceCommand="echo no").target(), "true")
    result = await kept.result
    assert (result.state, kept.sink.starts) == (RunState.FAILED, 0)
    assert "did not run the command" in result.message


async def test_unreachable_host_raises_before_anything_is_sent(pool: SshPool, server: SshServer) -> None:
    server.stop()
    kept = Kept(pool, server.target(), "true")
    with pytest.raises(SshError, match="refused"):
        await kept.result
    assert kept.sink.notes == []


async def test_command_may_handle_the_signals_that_it_wants(pool: SshPool, server: SshServer) -> None:
    command = "trap 'echo int' INT; trap 'echo hup' HUP; kill -INT $$; kill -HUP $$; echo begun"
    kept = Kept(pool, server.target(), command)
    await kept.result
    assert kept.sink.out == b"int\nhup\nbegun\n"


async def test_nobody_stays_on_the_host_when_a_visit_is_cut(
    pool: SshPool, server: SshServer, tmp_path: Path
) -> None:
    kept = await Kept(pool, server.target(), "echo begun; sleep 30").begun()
    visitors = followers(spool(tmp_path, kept.mark))
    assert len(visitors) == 2
    await kept.leave()
    await until(lambda: not followers(spool(tmp_path, kept.mark)))
    assert (await kept.again().cancel())[0] is True


def followers(folder: Path) -> list[int]:
    """Return who reads a folder's files to their ends."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0] == "tail" and str(folder) in process.info["cmdline"][-1]
    ]


def test_command_that_no_shell_takes_is_refused() -> None:
    from quarterdeck.core.errors import Invalid
    from quarterdeck.hosts.ssh import SshTarget

    target = SshTarget(host_id="1", name="web", address="127.0.0.1", username="ops")
    with pytest.raises(Invalid):
        KeptExecution(SshPool(), target, "x" * 128_000, "0" * 32)
