"""Files: finding one of 50,000, looking at one, and what an edit at Bitbucket Cloud costs in calls.

The pages and the answers of the searchable dropdown are asked of the web app itself, in this process, as a
signed-in operator, of a local repository that the real git made; the listing is in the cache, as it is for
everybody but the first who asks for a commit. The calls to Cloud are counted at a strict server of our own,
for looking at a file and changing it up to an open pull request, and for listing 10,000 files at one commit
and at the next. Prints JSON: medians in milliseconds by the
clock and of this thread's processor time.
"""

import argparse
import contextlib
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from bench.matrix import page, rounded, timed
from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.core.actors import SYSTEM, Actor, Role
from quarterdeck.core.config import Settings
from quarterdeck.files.changes.committing import CommitWish
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.proposing import ProposalWish
from quarterdeck.files.models import PlaceKind
from quarterdeck.files.place_drafts import PlaceDraft
from quarterdeck.master import create_app
from quarterdeck.master_parts import MasterParts
from tests.deck import PASSWORD
from tests.files.cloud.factories import PERSONS_TOKEN
from tests.files.cloud.server import CloudServer
from tests.files.repositories import make_repository, many_files
from tests.loops import running_loop

CLOUD_FILES = 10_000
SCRIPT = Path(__file__).parent / "all.py"
QUESTIONS = {
    "the_end_of_a_name": "values-049999",
    "words_of_a_path": "group 049 app 04999 values",
    "letters_apart": "grp49vls",
    "one_letter": "v",
    "nothing_fits": "zzqqxx",
}


def signed_in(parts: MasterParts) -> tuple[FlaskClient, Actor]:
    parts.access.add_person(SYSTEM, "oskar", role=Role.OPERATOR, password=PASSWORD)
    client: FlaskClient = create_app(parts).test_client()
    cookie = parts.access.sign_in("oskar", PASSWORD)
    client.set_cookie(SESSION_COOKIE, cookie)
    actor = parts.access.actor_for_session(cookie, "127.0.0.1")
    assert actor is not None
    return client, actor


def of_a_local_place(parts: MasterParts, client: FlaskClient, files: int, rounds: int) -> dict[str, Any]:
    script = SCRIPT.read_bytes()
    repository = make_repository(
        parts.settings.home / "many.git",
        many_files(files) | {"tools/all.py": script, "README.md": b"# Many\n"},
    )
    draft = PlaceDraft(name="many", kind=PlaceKind.LOCAL, url=str(repository.folder))
    parts.files.places.add(SYSTEM, draft)
    began = time.perf_counter()
    assert client.get("/api/v1/places/many/files?q=readme").status_code == 200
    first = (time.perf_counter() - began) * 1000
    find = "/api/v1/places/many/files?limit=20&q="
    return {
        "first_listing_of_a_commit_ms": first,
        "dropdown": {name: page(client, find + text, rounds) for name, text in QUESTIONS.items()},
        "pages": {
            "choose": page(client, "/files/many", rounds),
            "one_folder": page(client, "/files/many?path=services/group-049", rounds),
            "view_of_a_small_file": page(client, "/files/many/view?path=README.md", rounds),
            "view_of_a_script": page(client, "/files/many/view?path=tools/all.py", rounds),
        },
    }


def at_cloud(server: CloudServer, name: str) -> PlaceDraft:
    return PlaceDraft(
        name=name,
        kind=PlaceKind.CLOUD,
        url=server.url,
        project=server.workspace,
        repository=server.slug,
        default_branch="main",
        username="oskar@example.org",
        token=PERSONS_TOKEN,
    )


def of_cloud(parts: MasterParts, actor: Actor, folder: Path) -> dict[str, int]:
    """Return the calls of a look, and of an edit after it."""
    path = "conf/app.yml"
    with contextlib.closing(CloudServer(folder)) as server:
        server.git.commit("main", {path: b"port: 80\n"}, "Begin")
        parts.files.places.add(SYSTEM, at_cloud(server, "acme"))
        looked = parts.files.looking.look(actor, "acme", "main", path)
        look = len(server.asked)
        changes = parts.changes
        target, base = changes.beginning.target_of(actor, "acme", "main", looked.commit)
        change = changes.begin(actor, "acme", Wanted(path, target=target, base=base)).change
        changes.save_draft(actor, change.id, path, "port: 81\n")
        changes.commit(actor, change.id, CommitWish("Move to 81"))
        commit = len(server.asked)
        changes.propose(actor, change.id, ProposalWish("Move to 81"))
        whole = len(server.asked)
        parts.files.places.close()
        assert server.faults == []
    return {
        "calls_of_a_look": look,
        "calls_from_update_to_commit": commit - look,
        "with_the_pull_request": whole - look,
    }


def of_listing_at_cloud(parts: MasterParts, folder: Path) -> dict[str, int]:
    """Return the calls of listing a commit, and of the next ones with so many changed files."""
    commits = {
        "calls_of_the_first": CLOUD_FILES,
        "after_a_commit_of_one_file": 1,
        "of_ten_files": 10,
        "of_fifty_one_files": 51,
    }
    paths = [f"services/group-{n % 50:03}/values-{n:05}.yml" for n in range(CLOUD_FILES)]
    calls: dict[str, int] = {"files": CLOUD_FILES}
    with contextlib.closing(CloudServer(folder)) as server:
        record = parts.files.places.add(SYSTEM, at_cloud(server, "large"))
        place = parts.files.places.open(record)
        for name, changed in commits.items():
            commit = server.git.commit("main", dict.fromkeys(paths[:changed], name.encode()))
            before = len(server.asked)
            parts.files.trees.listing(record, place, commit)
            calls[name] = len(server.asked) - before
        parts.files.places.close()
        assert server.faults == []
    return calls


def measure(folder: Path, *, files: int, rounds: int) -> dict[str, Any]:
    home = folder / "home"
    with running_loop() as loop:
        parts = MasterParts(Settings(home=home))
        parts.loop = loop
        client, actor = signed_in(parts)
        local = of_a_local_place(parts, client, files, rounds)
        listing = timed(lambda: parts.files.places.list_places(actor), rounds)
        cloud = of_cloud(parts, actor, folder / "acme.git")
        listing_at_cloud = of_listing_at_cloud(parts, folder / "large.git")
        parts.close()
    figures: dict[str, Any] = {"files": files, "rounds": rounds, "list_of_places_ms": listing["ms"]}
    calls = {"edit_at_cloud": cloud, "listing_at_cloud": listing_at_cloud}
    return dict(rounded(figures | local | calls))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=21)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), files=chosen.files, rounds=chosen.rounds), indent=2))
