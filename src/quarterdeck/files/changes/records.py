"""What others get to see of stored changes and their files."""

from dataclasses import dataclass
from datetime import datetime

from quarterdeck.files.changes.states import FINAL
from quarterdeck.files.models import ChangeState, DraftAction, FileDraft, FileEdit


@dataclass(frozen=True, slots=True)
class ChangeFile:
    """One file of a change, without its contents."""

    path: str
    new_path: str
    action: DraftAction
    is_waiting: bool
    is_committed: bool
    version: int
    updated_at: datetime

    @property
    def final_path(self) -> str:
        """Where the file is after the change."""
        return self.new_path or self.path


@dataclass(frozen=True, slots=True)
class DraftRecord:
    """One file of a change: what it was at ``base``, and what it is to be."""

    id: str
    change_id: str
    path: str
    new_path: str
    action: DraftAction
    base: str
    original: bytes | None
    content: bytes | None
    encoding: str
    seen: str
    committed: str
    sent: str
    is_waiting: bool
    is_executable: bool
    version: int
    updated_at: datetime

    @property
    def final_path(self) -> str:
        """Where the file is after the change."""
        return self.new_path or self.path

    @property
    def wanted(self) -> bytes | None:
        """The contents after the change; None for none, or where they were too large to be kept here."""
        if self.action is DraftAction.DELETE:
            return None
        return self.original if self.content is None else self.content

    @property
    def is_changed(self) -> bool:
        """Something differs from what the file was."""
        if self.action is not DraftAction.UPDATE:
            return True
        return self.content is not None and self.content != self.original


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A change: whose it is, where it goes, what it holds, and where it stands."""

    id: str
    place_id: str
    place: str
    state: ChangeState
    branch: str
    target: str
    base: str
    tip: str
    has_branch: bool
    pending: str
    former_branch: str
    former_tip: str
    person_id: str
    person: str
    proposal_id: str
    proposal_url: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    files: tuple[ChangeFile, ...] = ()

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_unsure(self) -> bool:
        """It is not known whether the branch was made, or how the last commit ended."""
        return not self.is_final and bool(self.pending or not self.tip)

    @property
    def waiting(self) -> tuple[ChangeFile, ...]:
        """The files with something to commit."""
        return tuple(file for file in self.files if file.is_waiting)

    @property
    def has_commit(self) -> bool:
        return any(file.is_committed for file in self.files)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(file.final_path for file in self.files)


def draft_record(row: FileDraft) -> DraftRecord:
    """Return a stored draft with its contents."""
    return DraftRecord(
        id=row.id,
        change_id=row.change_id,
        path=row.path,
        new_path=row.new_path,
        action=DraftAction(row.action),
        base=row.base,
        original=row.original,
        content=row.content,
        encoding=row.encoding,
        seen=row.seen,
        committed=row.committed,
        sent=row.sent,
        is_waiting=row.is_waiting,
        is_executable=row.is_executable,
        version=row.version,
        updated_at=row.updated_at,
    )


def change_record(row: FileEdit, files: tuple[ChangeFile, ...]) -> ChangeRecord:
    """Return a stored change with the files that it holds."""
    return ChangeRecord(
        id=row.id,
        place_id=row.place_id,
        place=row.place,
        state=ChangeState(row.state),
        branch=row.branch,
        target=row.target,
        base=row.base,
        tip=row.tip,
        has_branch=row.has_branch,
        pending=row.pending,
        former_branch=row.former_branch,
        former_tip=row.former_tip,
        person_id=row.person_id,
        person=row.person,
        proposal_id=row.proposal_id,
        proposal_url=row.proposal_url,
        created_at=row.created_at,
        updated_at=row.updated_at,
        ended_at=row.ended_at,
        files=files,
    )
