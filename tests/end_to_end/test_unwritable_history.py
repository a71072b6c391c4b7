"""A history that can't be written stops actions with the path named, and stops no reading."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.deck import PASSWORD, Deck, running_deck

Mount = Callable[..., Path]
COMMAND = {"task": {"kind": "command", "command": "echo hello"}, "hosts": ["master"]}


def test_a_full_disk_stops_actions_and_names_the_path(tmp_path: Path, mount: Mount) -> None:
    folder = mount(tmp_path / "home/history", "size=12m")
    with running_deck(tmp_path / "home") as deck:
        fill(folder)
        refused = deck.api("POST", "/api/v1/runs", json=COMMAND)
        assert refused.status_code == 503
        assert str(folder) in refused.json()["detail"]
        assert deck.api("GET", "/api/v1/runs").json()["runs"] == []
        assert deck.api("GET", "/api/v1/history").status_code == 200
        assert deck.api("GET", "/readyz").status_code == 503


def test_signing_in_is_still_recorded_on_a_full_disk(tmp_path: Path, mount: Mount) -> None:
    folder = mount(tmp_path / "home/history", "size=12m")
    with running_deck(tmp_path / "home") as deck:
        fill(folder)
        assert sign_in(deck).status_code == 303
        newest = deck.api("GET", "/api/v1/history?action=login").json()["entries"]
        assert newest[0]["actor"] == "ada"


def test_actions_go_on_by_themselves_when_there_is_room_again(tmp_path: Path, mount: Mount) -> None:
    folder = mount(tmp_path / "home/history", "size=12m")
    with running_deck(tmp_path / "home") as deck:
        fill(folder)
        assert deck.api("POST", "/api/v1/runs", json=COMMAND).status_code == 503
        (folder / "filler").unlink()
        assert deck.run(**COMMAND)["state"] == "succeeded"
        assert deck.cli("history", "verify").returncode == 0


def test_a_read_only_folder_stops_actions_and_names_the_path(tmp_path: Path, mount: Mount) -> None:
    folder = mount(tmp_path / "home/history", "size=32m")
    with running_deck(tmp_path / "home") as deck:
        # A lazy remount: the journal's open files do not keep the mount writable.
        subprocess.run(["mount", "-o", "remount,ro,size=32m", str(folder)], check=False)
        refused = deck.api("POST", "/api/v1/runs", json=COMMAND)
        if refused.status_code == 201:  # open files kept the remount from happening
            subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
            subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
            refused = deck.api("POST", "/api/v1/runs", json=COMMAND)
        assert refused.status_code == 503
        assert str(folder) in refused.json()["detail"]
        assert deck.api("GET", "/api/v1/history").status_code == 200


def fill(folder: Path) -> None:
    """Use up all room of the file system."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            return


def sign_in(deck: Deck) -> httpx.Response:
    with httpx.Client(base_url=deck.url) as client:
        page = client.get("/sign-in")
        token = page.text.split('name="csrf_token" value="')[1].split('"')[0]
        form = {"csrf_token": token, "name": "ada", "password": PASSWORD}
        return client.post("/sign-in", data=form, headers={"Origin": deck.url})
