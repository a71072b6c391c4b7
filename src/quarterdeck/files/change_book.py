"""What the commands need of changes, on a home or over the API of a master."""

from typing import Protocol

from quarterdeck.core.actors import Actor
from quarterdeck.files.beginning import Begun
from quarterdeck.files.change_records import ChangeRecord
from quarterdeck.files.change_store import ChangePage, ChangeQuery
from quarterdeck.files.committing import CommitWish
from quarterdeck.files.originals import Wanted
from quarterdeck.files.proposing import ProposalWish


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
