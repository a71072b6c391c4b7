"""What tests of the Cloud adapter begin with: a place at the stand-in, with a set clock and short waits."""

from collections.abc import Callable, Mapping
from typing import Any

from quarterdeck.core.loop import Loop
from quarterdeck.files.places.allowance import Allowance
from quarterdeck.files.places.cloud import HOURLY_LIMIT, CloudPlace
from quarterdeck.files.places.cloud_scopes import Scopes
from quarterdeck.files.places.faults import Timing
from quarterdeck.files.places.http import Client, Endpoint
from quarterdeck.files.places.place import Action, Author, FileChange, ProposalDraft
from tests.clocks import SetClock
from tests.files.cloud.server import CloudServer
from tests.files.loopback import QUICK

OSKAR = Author("Oskar", "oskar@example.org")
PERSONS_TOKEN, ACCESS_TOKEN = "ATATTpersons-token", "ATCTaccess-token"
BRANCH = "quarterdeck/oskar/app.yml-1a2b"
REVIEWER = "{504c3b62-8120-4f0c-a7bc-87800b9d6f70}"
HTML = b"<!doctype html><title>Bad gateway</title><script>alert(1)</script>"

Opener = Callable[..., CloudPlace]


def place_at(
    server: CloudServer,
    loop: Loop,
    *,
    clock: SetClock | None = None,
    token: str = PERSONS_TOKEN,
    username: str = "oskar@example.org",
    limit: int = HOURLY_LIMIT,
    timing: Timing = QUICK,
    **more: Any,
) -> CloudPlace:
    clock = clock or SetClock()
    client = Client(
        Endpoint(more.pop("url", server.url), username, token),
        loop, clock, allowance=Allowance(clock, limit), timing=timing,
    )  # fmt: skip
    names = {"workspace": server.workspace, "repository": server.slug} | more
    return CloudPlace(client, clock, scopes=Scopes.of(username), **names)


def written(files: Mapping[str, bytes], **how: bool) -> list[FileChange]:
    return [FileChange(path, Action.WRITE, content, **how) for path, content in files.items()]


def draft(**more: Any) -> ProposalDraft:
    return ProposalDraft(**{"title": "Port", "source": BRANCH, "target": "main", **more})


def begun(place: CloudPlace) -> str:
    """Begin an edit: the branch at the tip, which is returned."""
    tip = place.tip("main")
    place.create_branch(BRANCH, tip)
    return tip


def content_of(server: CloudServer, path: str, branch: str = BRANCH) -> bytes | None:
    tip = server.git.tip(branch)
    assert tip
    return server.git.content(tip, path)
