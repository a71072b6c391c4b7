"""What the commands need of changes, on a home or over the API of a master."""

from typing import Protocol

from quarterdeck.core.actors import Actor
from quarterdeck.files.changes.beginning import Begun
from quarterdeck.files.changes.committing import CommitWish
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.proposing import ProposalWish
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.changes.store import ChangePage, ChangeQuery


class SavedFile(Protocol):
    """What is told of a file that was put into a change."""

    @property
    def final_path(self) -> str: ...


class ChangeBook(Protocol):
    """``changes.Changes``, or ``change_remote.RemoteChanges``; over the API the token says who acts."""

    def list(self, actor: Actor, query: ChangeQuery, /) -> ChangePage: ...

    def patch(self, actor: Actor, change_id: str, /) -> str: ...

    def begin(self, actor: Actor, place_name: str, wanted: Wanted, /) -> Begun: ...

    def save_file(self, actor: Actor, change_id: str, path: str, content: bytes, /) -> SavedFile: ...

    def commit(self, actor: Actor, change_id: str, wish: CommitWish, /) -> ChangeRecord: ...

    def propose(self, actor: Actor, change_id: str, wish: ProposalWish, /) -> ChangeRecord: ...

    def merge(self, actor: Actor, change_id: str, /) -> ChangeRecord: ...

    def discard(self, actor: Actor, change_id: str, /) -> ChangeRecord: ...
