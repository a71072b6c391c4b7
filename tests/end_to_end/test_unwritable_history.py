"""A history that can't be written stops actions with the path named, stops no reading, and recovers.

On the master and on its worker: the disk is full, the folder is read-only, the folder is gone, the
file being written is gone. Nothing is restarted in between.
"""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from quarterdeck.core.ids import new_id
from tests.deck import Deck, running_deck, wait_until
from tests.end_to_end.mounts import small_file_system
from tests.end_to_end.visitor import Visitor, signed_in

Fault = Callable[[Path], AbstractContextManager[None]]
_MOST_TRIES: Final = 40
"""A full disk still takes what fits into the last block of the file: some records, never many."""


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Use up all room of the folder's file system."""
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 65536)
    yield
    (folder / "filler").unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Have the folder be a read-only copy of itself, as after a disk was mounted anew without `rw`.

    A remount of the file system itself is refused while the journal has files open on it.
    """
    copy = folder.with_name(f"{folder.name}-copy")
    shutil.copytree(folder, copy)
    subprocess.run(["mount", "--bind", str(copy), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(copy)


@contextmanager
def deleted(folder: Path) -> Iterator[None]:
    """Take everything in the folder away; put it back afterwards."""
    aside = folder.with_name(f"{folder.name}-aside")
    aside.mkdir()
    for path in folder.iterdir():
        shutil.move(path, aside)
    yield
    for path in aside.iterdir():
        shutil.move(path, folder / path.name)
    aside.rmdir()


@contextmanager
def file_deleted(folder: Path) -> Iterator[None]:
    """Take the file being written away; put it back afterwards."""
    newest = max(folder.glob("*.jsonl"))
    aside = folder.with_name(newest.name)
    shutil.move(newest, aside)
    yield
    shutil.move(aside, newest)


FAULTS: Final = [full, read_only, deleted, file_deleted]
EACH_FAULT = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    """A deck whose histories have small file systems of their own; each test leaves it well."""
    home = tmp_path_factory.mktemp("small") / "home"
    with (
        small_file_system(home / "history"),
        small_file_system(home / "worker" / "history"),
        running_deck(home) as deck,
    ):
        wait_until(lambda: state_of(deck, "worker") == "well", "the worker to be well")
        yield deck


@EACH_FAULT
def test_an_action_is_refused_with_the_path_named_and_reading_goes_on(small: Deck, fault: Fault) -> None:
    folder = small.home / "history"
    with signed_in(small, "ada") as ada, fault(folder):
        refused = refused_action(small)
        assert refused.status_code == 503
        assert str(folder) in refused.json()["detail"]
        assert_still_readable(small, ada)
        before = small.api("GET", "/api/v1/bases").json()
        assert refused_action(small).status_code == 503
        assert small.api("GET", "/api/v1/bases").json() == before
        wait_until(lambda: httpx.get(f"{small.url}/readyz").status_code == 503, "the node not to be ready")
    assert_works_again(small)


@EACH_FAULT
def test_no_run_is_begun_without_its_record(small: Deck, fault: Fault, tmp_path: Path) -> None:
    before = small.api("GET", "/api/v1/runs").json()["runs"]
    with fault(small.home / "history"):
        refused_action(small)
        for number in range(3):
            refused = start(small, f"touch {tmp_path}/ran-{number}", "master", "worker")
            assert refused.status_code == 503
            assert str(small.home / "history") in refused.json()["detail"]
        assert small.api("GET", "/api/v1/runs").json()["runs"] == before
    assert list(tmp_path.iterdir()) == []
    assert_works_again(small)


@EACH_FAULT
def test_a_worker_that_cannot_record_an_order_refuses_it_and_the_run_says_why(
    small: Deck, fault: Fault, tmp_path: Path
) -> None:
    folder = small.home / "worker" / "history"
    with fault(folder):
        for number in range(_MOST_TRIES):
            run = small.run(task=command(f"touch {tmp_path}/ran-{number}"), hosts=["worker"])
            if run["state"] == "failed":
                break
        assert run["state"] == "failed", run
        assert str(folder) in run["hosts"][0]["message"], run["hosts"][0]["message"]
        assert not (tmp_path / f"ran-{number}").exists()
        assert small.run(task=command("true"), hosts=["master"])["state"] == "succeeded"
    wait_until(lambda: runs_on_worker(small), "the worker to take orders again", 20)
    assert_works_again(small)


def test_signing_in_is_still_possible_and_recorded_on_a_full_disk(small: Deck) -> None:
    with full(small.home / "history"):
        refused_action(small)
        with signed_in(small, "ada"):
            newest = small.api("GET", "/api/v1/history?action=login").json()["entries"]
            assert newest[0]["actor"] == "ada"
    assert_works_again(small)


def test_a_run_that_ends_while_the_disk_is_full_is_concluded_later(small: Deck) -> None:
    started = start(small, "sleep 2", "master").json()
    with full(small.home / "history"):
        refused_action(small)
        ended = small.api("GET", f"/api/v1/runs/{started['id']}?wait=20").json()
        assert ended["state"] == "succeeded"
    path = f"/api/v1/history?object=run:{started['id']}&kind=outcome"
    wait_until(lambda: bool(small.api("GET", path).json()["entries"]), "the outcome in the history")
    assert_works_again(small)


def refused_action(deck: Deck) -> httpx.Response:
    """Return the first refusal of something small; what fits into the last block is still done."""
    for _ in range(_MOST_TRIES):
        base = {"name": f"base-{new_id()}", "url": "https://api.example.org"}
        answer = deck.api("POST", "/api/v1/bases", json=base)
        if answer.status_code != 201:
            return answer
    raise AssertionError(f"{_MOST_TRIES} actions were recorded nowhere")


def assert_still_readable(deck: Deck, ada: Visitor) -> None:
    for path in ("/api/v1/history", "/api/v1/runs", "/api/v1/hosts", "/api/v1/me"):
        assert deck.api("GET", path).status_code == 200, path
    for path in ("/", "/hosts", "/runs", "/history", "/people", "/account"):
        assert ada.get(path).status_code == 200, path


def assert_works_again(deck: Deck) -> None:
    """Actions go on by themselves, and no line is missing or torn."""
    assert refused_or_done(deck).status_code == 201
    wait_until(lambda: httpx.get(f"{deck.url}/readyz").status_code == 200, "the node to be ready")
    verified = deck.cli("history", "verify", "--with-workers", check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def refused_or_done(deck: Deck) -> httpx.Response:
    base = {"name": f"base-{new_id()}", "url": "https://api.example.org"}
    return deck.api("POST", "/api/v1/bases", json=base)


def runs_on_worker(deck: Deck) -> bool:
    return str(deck.run(task=command(f"echo {new_id()}"), hosts=["worker"])["state"]) == "succeeded"


def start(deck: Deck, line: str, *hosts: str) -> httpx.Response:
    return deck.api("POST", "/api/v1/runs", json={"task": command(line), "hosts": hosts})


def command(line: str) -> dict[str, Any]:  # Any: JSON
    return {"kind": "command", "command": f"{line} # {new_id()}"}


def state_of(deck: Deck, name: str) -> str:
    return str(deck.api("GET", f"/api/v1/hosts/{name}").json()["state"])
