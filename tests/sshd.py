"""Real OpenSSH servers for tests: Debian's sshd on loopback, with keys made for the occasion.

``sshd`` starts one and ends it with the test; ``ssh_keys`` are the keys of the people who sign in.
"""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from quarterdeck.hosts.ssh_target import SshTarget
from tests.needs import need

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
ROOT = "root"


def missing_sshd() -> str:
    """Return why no sshd can be started here, or an empty string."""
    if SSHD is None:
        return "sshd is not installed (Debian: openssh-server)"
    if os.geteuid() != 0:
        return "sshd needs root to sign people in"
    return ""


@dataclass(frozen=True)
class SshKeys:
    """Key pairs made once a test session: ``good`` and ``locked`` are let in, ``wrong`` is not."""

    folder: Path
    good: str
    rsa: str
    locked: str
    passphrase: str
    wrong: str

    @property
    def authorized(self) -> Path:
        return self.folder / "authorized_keys"


def make_keys(folder: Path) -> SshKeys:
    keys = SshKeys(
        folder,
        good=make_key(folder / "good"),
        rsa=make_key(folder / "rsa", kind="rsa"),
        locked=make_key(folder / "locked", passphrase="open sesame"),
        passphrase="open sesame",
        wrong=make_key(folder / "wrong"),
    )
    public = [(folder / f"{name}.pub").read_text() for name in ("good", "rsa", "locked")]
    keys.authorized.write_text("".join(public))
    return keys


def make_key(path: Path, *, kind: str = "ed25519", passphrase: str = "") -> str:
    """Make a key pair with OpenSSH's own tool and return the private half."""
    run("ssh-keygen", "-q", "-a", "1", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path))
    return path.read_text()


def openssh(key: Path, address: str, port: int, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with OpenSSH's own client and this key alone, taking any host key."""
    return subprocess.run(
        [
            "ssh",
            *("-F", "none", "-i", str(key), "-p", str(port)),
            *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *(f"{ROOT}@{address}", command),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def run(*command: str, **options: Any) -> str:  # Any: options of subprocess.run
    done = subprocess.run(command, check=True, capture_output=True, text=True, **options)
    return str(done.stdout)


@dataclass
class SshServer:
    """A running sshd; ``target`` says how to reach it."""

    folder: Path
    keys: SshKeys
    addresses: tuple[str, ...] = ("127.0.0.1",)
    port: int = 0
    options: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    """What stands before the program's own name, to start it elsewhere."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        return run("ssh-keygen", "-lf", str(self.folder / "host_key.pub")).split()[1]

    def target(self, **changes: Any) -> SshTarget:  # Any: fields of SshTarget
        address = changes.get("address", self.addresses[0])
        target = SshTarget(
            host_id=f"id-{address}-{self.port}",
            name=f"web-{address}",
            address=address,
            port=self.port,
            username=ROOT,
            private_key=self.keys.good,
            host_key=self.host_key,
        )
        return replace(target, **changes)

    def start(self) -> "SshServer":
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        if not (self.folder / "host_key").exists():
            make_key(self.folder / "host_key")
        for _ in range(5):
            port = self.port or free_port()
            if self._start_on(port):
                self.port = port
                return self
        raise RuntimeError((self.folder / "log").read_text())

    def change_host_key(self, kind: str = "ed25519") -> None:
        """Come back on the same port with another host key, as a reinstalled machine does."""
        self.stop()
        for name in ("host_key", "host_key.pub"):
            (self.folder / name).unlink()
        make_key(self.folder / "host_key", kind=kind)
        self.start()

    def sessions(self) -> list[psutil.Process]:
        """Return the processes that serve connections, without those that run commands."""
        if self.process is None:
            return []
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if _name(child) == "sshd"]

    def cut(self) -> None:
        """End every connection the hard way."""
        for session in self.sessions():
            with contextlib.suppress(psutil.NoSuchProcess):
                session.kill()

    def vanish(self) -> None:
        """Be gone at once, with every connection."""
        sessions = self.sessions()
        self.stop()
        for session in sessions:
            with contextlib.suppress(psutil.NoSuchProcess):
                session.kill()

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def _start_on(self, port: int) -> bool:
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in self._settings(port)))
        with (self.folder / "log").open("ab") as log:
            command = [*self.before, str(SSHD), "-D", "-e", "-f", str(config)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < deadline:
            if all(_answers(address, port) for address in self.addresses):
                return True
            time.sleep(0.01)
        self.stop()
        return False

    def _settings(self, port: int) -> Iterator[tuple[str, str]]:
        settings = {
            "Port": str(port),
            "HostKey": str(self.folder / "host_key"),
            "AuthorizedKeysFile": str(self.keys.authorized),
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PermitRootLogin": "yes",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "SetEnv": "HOME=/nonexistent",  # bash would read the .bashrc of whoever runs the tests
        }
        yield from (settings | self.options).items()
        yield from (("ListenAddress", address) for address in self.addresses)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Login:
    """A person of the machine that runs the tests, made for one test."""

    name: str
    password: str


@contextlib.contextmanager
def login(shell: str = "/bin/bash", home: Path = Path("/nonexistent")) -> Iterator[Login]:
    """Make a person of this machine with a password, and remove it afterwards."""
    person = Login(f"qd{secrets.token_hex(4)}", secrets.token_urlsafe(12))
    digest = run("openssl", "passwd", "-6", "-stdin", input=person.password).strip()
    _account("useradd", "-M", "-N", "-d", str(home), "-s", shell, "-p", digest, person.name)
    try:
        yield person
    finally:
        _account("userdel", "-f", person.name)


def _account(*command: str) -> None:
    """Change /etc/passwd, waiting for others who do so at the same time."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    for _ in range(50):
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PATH": path}, check=False
        )
        if done.returncode == 0 or "lock" not in done.stderr:
            break
        time.sleep(0.1)
    assert done.returncode == 0 or "userdel" in command[0], done.stderr


@contextlib.contextmanager
def ssh_agent(folder: Path, *private_keys: str) -> Iterator[str]:
    """Run a real ssh-agent that holds some keys; gives its socket."""
    path = folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 5
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        for key in private_keys:
            run("ssh-add", "-q", "-", input=key, env={**os.environ, "SSH_AUTH_SOCK": str(path)})
        yield str(path)
    finally:
        agent.terminate()
        agent.wait(10)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that everyone can read, unlike pytest's own; sshd reads keys as who signs in."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def ssh_keys() -> Iterator[SshKeys]:
    need(missing_sshd())
    with open_folder() as folder:
        yield make_keys(folder)


StartSshd = Callable[..., SshServer]


@pytest.fixture
def sshd(ssh_keys: SshKeys, tmp_path: Path) -> Iterator[StartSshd]:
    """Start servers that end with the test: ``sshd(MaxSessions="2")``, ``sshd(addresses=[…])``."""
    servers: list[SshServer] = []

    def start(addresses: tuple[str, ...] = ("127.0.0.1",), **options: str) -> SshServer:
        folder = tmp_path / f"sshd-{len(servers)}"
        folder.mkdir()
        server = SshServer(folder, ssh_keys, tuple(addresses), options=options)
        servers.append(server.start())
        return server

    yield start
    for server in servers:
        server.vanish()
