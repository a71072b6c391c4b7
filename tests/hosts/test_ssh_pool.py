"""Connections to real OpenSSH servers: sign-in, host keys, sharing, limits."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from quarterdeck.core.config import KeyExchange
from quarterdeck.hosts.ssh import HostKey, Reason, SshError, SshPool, SshTarget, read_host_key
from quarterdeck.hosts.ssh_options import key_exchanges
from tests.clocks import SetClock
from tests.deck import wait_until
from tests.sshd import StartSshd, login, make_key, ssh_agent


async def echo(pool: SshPool, target: SshTarget, word: str = "hello") -> str:
    async with pool.session(target) as connection:
        done = await connection.run(f"echo {word}", encoding="utf-8", check=True)
    return str(done.stdout).strip()


async def failure(pool: SshPool, target: SshTarget) -> SshError:
    with pytest.raises(SshError) as caught:
        await echo(pool, target)
    return caught.value


async def test_private_key_signs_in(pool: SshPool, sshd: StartSshd) -> None:
    assert await echo(pool, sshd().target()) == "hello"


async def test_rsa_key_signs_in(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    assert await echo(pool, server.target(private_key=server.keys.rsa)) == "hello"


async def test_key_with_passphrase_signs_in(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    target = server.target(private_key=server.keys.locked, passphrase=server.keys.passphrase)
    assert await echo(pool, target) == "hello"


@pytest.mark.parametrize(
    ("passphrase", "words"), [("", "Give its passphrase"), ("wrong", "passphrase is wrong")]
)
async def test_locked_key_says_what_it_needs(
    pool: SshPool, sshd: StartSshd, passphrase: str, words: str
) -> None:
    server = sshd()
    error = await failure(pool, server.target(private_key=server.keys.locked, passphrase=passphrase))
    assert error.reason is Reason.KEY_UNREADABLE
    assert words in error.message


async def test_what_is_no_key_is_said_to_be_none(pool: SshPool, sshd: StartSshd) -> None:
    error = await failure(pool, sshd().target(private_key="MARKER of a secret"))
    assert error.reason is Reason.KEY_UNREADABLE
    assert "MARKER" not in error.message


@pytest.mark.parametrize("method", ["PasswordAuthentication", "KbdInteractiveAuthentication"])
async def test_password_signs_in(pool: SshPool, sshd: StartSshd, method: str) -> None:
    with login() as person:
        # Keyboard-interactive needs PAM, which is there with Debian's sshd.
        server = sshd(**{method: "yes", "UsePAM": "yes" if method.startswith("Kbd") else "no"})
        target = server.target(username=person.name, private_key="", password=person.password)
        assert await echo(pool, target) == "hello"


async def test_wrong_password_says_what_to_look_at(pool: SshPool, sshd: StartSshd) -> None:
    with login() as person:
        server = sshd(PasswordAuthentication="yes")
        error = await failure(
            pool, server.target(username=person.name, private_key="", password="not the password")
        )
    assert error.reason is Reason.AUTH
    assert "password" in error.message
    assert "not the password" not in error.message


async def test_agent_signs_in(sshd: StartSshd, tmp_path: Path) -> None:
    server = sshd()
    with ssh_agent(tmp_path, server.keys.wrong, server.keys.good) as path:
        pool = SshPool(agent_path=path)
        assert await echo(pool, server.target(private_key="", use_agent=True)) == "hello"
        await pool.close()


async def test_agent_without_the_right_key_is_named(sshd: StartSshd, tmp_path: Path) -> None:
    server = sshd()
    with ssh_agent(tmp_path, server.keys.wrong) as path:
        pool = SshPool(agent_path=path)
        error = await failure(pool, server.target(private_key="", use_agent=True))
        await pool.close()
    assert error.reason is Reason.AUTH
    assert "agent" in error.message


async def test_missing_agent_is_named(sshd: StartSshd, tmp_path: Path) -> None:
    pool = SshPool(agent_path=str(tmp_path / "nobody"))
    error = await failure(pool, sshd().target(private_key="", use_agent=True))
    assert "none answers" in error.message


async def test_nothing_of_the_home_is_used(
    pool: SshPool, sshd: StartSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = sshd()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/id_ed25519").write_text(server.keys.good)
    (tmp_path / ".ssh/id_ed25519").chmod(0o600)
    (tmp_path / ".ssh/config").write_text("Host *\n  User nobody\n  Port 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with ssh_agent(tmp_path, server.keys.good) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        for target in (server.target(private_key=""), server.target(private_key=server.keys.wrong)):
            assert (await failure(pool, target)).reason is Reason.AUTH
    assert await echo(pool, server.target()) == "hello"


async def test_wrong_key_and_wrong_user_are_not_let_in(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    for target in (server.target(private_key=server.keys.wrong), server.target(username="nobody-here")):
        error = await failure(pool, target)
        assert error.reason is Reason.AUTH
        assert target.username in error.message
        assert "authorized_keys" in error.message


async def test_host_key_can_be_read_without_signing_in(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    key = await pool.scan_host_key(server.target(host_key="", private_key="", username="nobody-here"))
    assert key == HostKey(server.host_key, "ssh-ed25519", server.fingerprint)
    assert key == read_host_key(server.host_key)
    assert "Accepted" not in (server.folder / "log").read_text()


async def test_unconfirmed_host_key_stops_before_any_connection(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    wait_until(lambda: not server.sessions(), "the end of the look whether it is there, which is logged too")
    before = (server.folder / "log").read_text()
    error = await failure(pool, server.target(host_key=""))
    assert error.reason is Reason.HOST_KEY_UNCONFIRMED
    assert (server.folder / "log").read_text() == before


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
async def test_changed_host_key_is_a_hard_stop(sshd: StartSshd, kind: str) -> None:
    told: list[tuple[SshTarget, str]] = []
    pool = SshPool(on_key_changed=lambda target, fingerprint: told.append((target, fingerprint)))
    server = sshd()
    target = server.target()
    server.change_host_key(kind)
    error = await failure(pool, target)
    assert error.reason is Reason.HOST_KEY_CHANGED
    assert server.fingerprint in error.message
    assert told == [(target, server.fingerprint)]
    assert "Accepted" not in (server.folder / "log").read_text()
    assert (await pool.scan_host_key(target)).fingerprint == server.fingerprint
    await pool.close()


async def test_a_scan_shows_the_pinned_kind_of_key_of_a_host_that_has_two(
    pool: SshPool, sshd: StartSshd, tmp_path: Path
) -> None:
    make_key(tmp_path / "rsa", kind="rsa")
    pinned = " ".join((tmp_path / "rsa.pub").read_text().split()[:2])
    server = sshd(HostKey=f"{tmp_path}/sshd-0/host_key\nHostKey {tmp_path}/rsa")
    assert (await pool.scan_host_key(server.target(host_key=pinned))).line == pinned
    assert (await pool.scan_host_key(server.target(host_key=""))).line == server.host_key


async def test_connection_is_shared_and_kept(pool: SshPool, sshd: StartSshd) -> None:
    target = sshd().target()
    await asyncio.gather(*(echo(pool, target, f"w{number}") for number in range(8)))
    await echo(pool, target)
    assert pool.connections() == 1


async def test_other_credentials_get_a_connection_of_their_own(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    await echo(pool, server.target())
    assert (await failure(pool, server.target(private_key=server.keys.wrong))).reason is Reason.AUTH
    assert pool.connections() == 1


async def test_idle_connection_ends_and_a_used_one_stays(sshd: StartSshd) -> None:
    clock = SetClock()
    pool = SshPool(clock=clock, idle_seconds=300)
    target = sshd().target()
    async with pool.session(target):
        clock.forward(1000)
        pool.sweep()
        assert pool.connections() == 1
    clock.forward(299)
    pool.sweep()
    assert pool.connections() == 1
    clock.forward(1)
    pool.sweep()
    assert pool.connections() == 0
    assert await echo(pool, target) == "hello"
    await pool.close()


async def test_forgotten_host_is_disconnected(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    await echo(pool, server.target())
    await pool.forget(server.target().host_id)
    assert pool.connections() == 0


async def test_nothing_is_lent_after_the_end(sshd: StartSshd) -> None:
    pool = SshPool()
    target = sshd().target()
    await echo(pool, target)
    await pool.close()
    assert "stopping" in (await failure(pool, target)).message


async def test_dead_connection_is_replaced(pool: SshPool, sshd: StartSshd) -> None:
    server = sshd()
    await echo(pool, server.target())
    server.cut()
    async with asyncio.timeout(10):
        while pool.connections():
            await asyncio.sleep(0.01)
    assert await echo(pool, server.target()) == "hello"


async def test_jump_host_leads_to_the_host_behind_it(pool: SshPool, sshd: StartSshd) -> None:
    gate, inner = sshd(), sshd()
    target = inner.target(jump=gate.target())
    assert await asyncio.gather(*(echo(pool, target, f"w{n}") for n in range(10))) == [
        f"w{n}" for n in range(10)
    ]
    assert len(gate.sessions()) > 0
    assert "from 127.0.0.1" in (inner.folder / "log").read_text()


async def test_two_jump_hosts_in_a_row_work(pool: SshPool, sshd: StartSshd) -> None:
    first, second, inner = sshd(), sshd(), sshd()
    assert await echo(pool, inner.target(jump=second.target(jump=first.target()))) == "hello"


async def test_host_key_behind_a_jump_host_can_be_read(pool: SshPool, sshd: StartSshd) -> None:
    gate, inner = sshd(), sshd()
    key = await pool.scan_host_key(inner.target(host_key="", jump=gate.target()))
    assert key.fingerprint == inner.fingerprint


async def test_failing_jump_host_is_named_as_such(pool: SshPool, sshd: StartSshd) -> None:
    gate, inner = sshd(), sshd()
    jump = replace(gate.target(private_key=gate.keys.wrong), name="gate")
    error = await failure(pool, inner.target(jump=jump))
    assert error.reason is Reason.JUMP
    assert "jump host gate failed" in error.message


@pytest.mark.parametrize(("forwarding", "words"), [("yes", "can't reach"), ("no", "AllowTcpForwarding")])
async def test_jump_host_that_can_not_go_on_says_why(
    pool: SshPool, sshd: StartSshd, forwarding: str, words: str
) -> None:
    gate, inner = sshd(AllowTcpForwarding=forwarding), sshd()
    target = inner.target(jump=gate.target())
    inner.stop()
    error = await failure(pool, target)
    assert error.reason is Reason.JUMP
    assert words in error.message


async def test_host_behind_a_jump_host_keeps_its_own_errors(pool: SshPool, sshd: StartSshd) -> None:
    gate, inner = sshd(), sshd()
    error = await failure(pool, inner.target(jump=gate.target(), private_key=inner.keys.wrong))
    assert error.reason is Reason.AUTH


@pytest.mark.parametrize("exchange", list(KeyExchange))
async def test_key_exchange_is_chosen_by_the_setting(sshd: StartSshd, exchange: KeyExchange) -> None:
    hybrid = [name for name in key_exchanges(exchange) if name.startswith(("mlkem", "sntrup"))]
    assert bool(hybrid) is (exchange is KeyExchange.POST_QUANTUM)
    assert key_exchanges(exchange)[: len(hybrid)] == hybrid
    pool = SshPool(exchange=exchange)
    async with pool.session(sshd().target()) as connection:
        assert connection.get_extra_info("recv_cipher") == "aes128-gcm@openssh.com"
    await pool.close()
