"""What tests of the Data Center adapter begin with."""

from collections.abc import Callable
from dataclasses import replace

from quarterdeck.files.places.datacenter import DataCenterPlace
from quarterdeck.files.places.place import Action, Author, FileChange, ProposalDraft
from tests.files.git_repository import EXECUTABLE, LINK, SUBMODULE
from tests.files.loopback import QUICK

ADA = Author("Ada Lovelace", "ada@example.org")
ODD = "conf/mit leer/100% #1?+&=ä€/ünï[*]~.yml"
FILES: dict[str, bytes | None] = {
    "README.md": b"# Config\n",
    "conf/app.yml": b"a: 1\r\nb: 2",
    "conf/binary.bin": bytes(range(256)),
    ODD: "größe: 1\n".encode(),
    "run.sh": b"#!/bin/sh\n",
    "link.yml": b"conf/app.yml",
    "vendored": b"1" * 40,
}
MODES = {"run.sh": EXECUTABLE, "link.yml": LINK, "vendored": SUBMODULE}
IMPATIENT = replace(QUICK, read=0.05, pauses=())
Open = Callable[..., DataCenterPlace]


def written(path: str, content: bytes, *, is_new: bool = False) -> FileChange:
    return FileChange(path, Action.WRITE, content, is_new=is_new)


def begin(place: DataCenterPlace, name: str = "quarterdeck/ada/app-1") -> tuple[str, str]:
    """Make a branch from the tip of main and return its name and that commit."""
    base = place.tip("main")
    place.create_branch(name, base)
    return name, base


def propose(place: DataCenterPlace, branch: str, *reviewers: str, title: str = "T") -> ProposalDraft:
    return ProposalDraft(title, branch, "main", "Why\n\nbecause", reviewers=reviewers)
