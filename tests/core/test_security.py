"""Keys and files that only their owner may read, and secrets at rest."""

import fcntl
import multiprocessing
import os
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from quarterdeck.core.security import (
    key_file,
    new_token,
    private_directory,
    private_file,
    same,
    token_digest,
    write_private,
)

pytestmark = pytest.mark.usefixtures("loose_umask")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_folders_are_private_also_those_that_were_open(tmp_path: Path) -> None:
    opened = tmp_path / "open"
    opened.mkdir(mode=0o777)
    assert mode(private_directory(opened)) == 0o700
    assert mode(private_directory(tmp_path / "new" / "deep")) == 0o700


def test_a_private_file_is_never_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        seen.append(os.fstat(descriptor).st_mode & 0o777)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    path = tmp_path / "keys" / "one"
    write_private(path, b"first")
    write_private(path, b"second")
    assert seen == [0o600, 0o600]
    assert (path.read_bytes(), mode(path), mode(path.parent)) == (b"second", 0o600, 0o700)
    assert [file.name for file in path.parent.iterdir()] == ["one"]


def is_locked(path: Path) -> bool:
    """Tell whether another process has a lock on the file."""
    script = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    return (
        subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=False).returncode != 0
    )


def test_a_private_file_that_is_there_keeps_its_locks(tmp_path: Path) -> None:
    path = private_file(tmp_path / "data")
    path.chmod(0o644)
    with path.open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert mode(private_file(path)) == 0o600
        assert is_locked(path)
    assert not is_locked(path)


def test_a_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secret.key"
    key = key_file(path)
    assert (len(key), key_file(path), mode(path)) == (32, key, 0o600)
    assert key_file(tmp_path / "other" / "secret.key") != key


def make_key(path: Path, barrier: Barrier, keys: "multiprocessing.Queue[bytes]") -> None:
    barrier.wait(20)
    keys.put(key_file(path))


def test_two_starters_agree_on_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for round_ in range(3):
        barrier, keys = context.Barrier(2), context.Queue()
        path = tmp_path / str(round_) / "secret.key"
        starters = [context.Process(target=make_key, args=(path, barrier, keys)) for _ in range(2)]
        for starter in starters:
            starter.start()
        found = {keys.get(timeout=20) for _ in starters}
        for starter in starters:
            starter.join(20)
        keys.close()
        keys.join_thread()
        assert len(found) == 1
        assert [file.name for file in path.parent.iterdir()] == ["secret.key"]


def test_tokens_have_full_entropy_and_are_kept_as_digests() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 43 and token.isascii() for token in tokens)
    assert token_digest("a") != token_digest("b")
    assert len(token_digest("a")) == 64


@pytest.mark.parametrize(
    ("left", "right", "equal"), [("a", "a", True), ("a", "b", False), ("a", "", False), ("é", "é", True)]
)
def test_secrets_are_compared(left: str, right: str, equal: bool) -> None:
    assert same(left, right) is equal
