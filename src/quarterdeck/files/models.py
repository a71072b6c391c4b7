"""The stored shapes of places, changes and drafts, and the values that others get to see of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from quarterdeck.core.actors import Role
from quarterdeck.core.db import Base

PLACE_NAME_LENGTH = 63
REF_LENGTH = 250
PATH_LENGTH = 1000


class PlaceKind(StrEnum):
    """Which adapter stands behind a place."""

    LOCAL = "local"
    CLOUD = "cloud"
    DATACENTER = "datacenter"

    @property
    def can_remove(self) -> bool:
        """Its API has a call that removes a file, which a rename needs too."""
        return self is not PlaceKind.DATACENTER


class ChangeState(StrEnum):
    """Where a change stands; the last three are final."""

    OPEN = "open"
    """The branch is there, nothing is committed yet."""
    COMMITTED = "committed"
    PROPOSED = "proposed"
    """A pull request is open."""
    MERGED = "merged"
    DECLINED = "declined"
    DISCARDED = "discarded"


class DraftAction(StrEnum):
    """What a draft does with its file."""

    UPDATE = "update"
    NEW = "new"
    RENAME = "rename"
    """The new name is in ``new_path``; the contents may change too."""
    DELETE = "delete"


class FilePlace(Base):
    """A repository that files are looked at and changed in; the token is sealed for ``place:<id>:token``."""

    __tablename__ = "file_places"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    name: Mapped[str] = mapped_column(String(PLACE_NAME_LENGTH), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    url: Mapped[str] = mapped_column(String(500))
    """The API's base address; of a local place the folder of the repository."""
    project: Mapped[str] = mapped_column(String(128))
    """Cloud: workspace. Data Center: project key, or ``~user``. Local: empty."""
    repository: Mapped[str] = mapped_column(String(128))
    default_branch: Mapped[str] = mapped_column(String(REF_LENGTH))
    """Empty: the repository's own."""
    allowed_paths: Mapped[list[str]] = mapped_column(JSON)
    """Folders and patterns that may be read and written; empty: all."""
    username: Mapped[str] = mapped_column(String(254))
    """The e-mail or user name that goes with the token; empty: the token is a bearer."""
    token: Mapped[bytes | None] = mapped_column(LargeBinary)
    authorities: Mapped[str] = mapped_column(Text)
    """PEM of the certificate authorities to trust besides the machine's; empty: none."""
    read_role: Mapped[str] = mapped_column(String(16))
    write_role: Mapped[str] = mapped_column(String(16))
    from_settings: Mapped[bool]
    """Defined in the settings: not changed by forms, gone when it is gone from there."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class FileEdit(Base):
    """A change: one temporary branch and what is to be committed on it."""

    __tablename__ = "file_changes"
    __table_args__ = (Index("ix_file_changes_state_updated_at", "state", "updated_at"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    place_id: Mapped[str] = mapped_column(String(26), index=True)
    place: Mapped[str] = mapped_column(String(PLACE_NAME_LENGTH))
    """Its name when the change was begun, for changes of places that are no more."""
    state: Mapped[str] = mapped_column(String(16))
    branch: Mapped[str] = mapped_column(String(REF_LENGTH))
    target: Mapped[str] = mapped_column(String(REF_LENGTH))
    """The branch that it started from and would be merged into."""
    base: Mapped[str] = mapped_column(String(64))
    """The commit that the branch started from."""
    tip: Mapped[str] = mapped_column(String(64))
    """The branch's tip by what is known here: the base until the first commit; empty until it is sure
    that the branch was made."""
    has_branch: Mapped[bool]
    """The branch was not removed by this change."""
    pending: Mapped[str] = mapped_column(String(26))
    """The history's intent of a commit of which it is not known how it ended; else empty."""
    former_branch: Mapped[str] = mapped_column(String(REF_LENGTH))
    """The branch that it was on before it was begun anew from a later target, until that one is removed."""
    former_tip: Mapped[str] = mapped_column(String(64))
    person_id: Mapped[str] = mapped_column(String(26), index=True)
    person: Mapped[str] = mapped_column(String(64))
    proposal_id: Mapped[str] = mapped_column(String(64))
    proposal_url: Mapped[str] = mapped_column(String(1000))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class FileDraft(Base):
    """One file of a change: what it was and what it is to be, as bytes; kept after the commit too."""

    __tablename__ = "file_drafts"
    __table_args__ = (Index("uq_file_drafts_change_id_path_key", "change_id", "path_key", unique=True),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    change_id: Mapped[str] = mapped_column(ForeignKey("file_changes.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(String(PATH_LENGTH))
    path_key: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the path in hex: unique whatever a database's rules for long or equal text."""
    new_path: Mapped[str] = mapped_column(String(PATH_LENGTH))
    action: Mapped[str] = mapped_column(String(16))
    base: Mapped[str] = mapped_column(String(64))
    """The commit of the target that the original was read at."""
    original: Mapped[bytes | None] = mapped_column(LargeBinary(2**24 - 1))
    """What the file was there, for what needs no call then: saving, comparing; None where it was no text
    or was not there."""
    content: Mapped[bytes | None] = mapped_column(LargeBinary(2**24 - 1))
    """In the file's own encoding and line ends; None while it is as it was, and for DELETE."""
    encoding: Mapped[str] = mapped_column(String(16))
    """The one that a person chose for the file; empty where the bytes say it."""
    seen: Mapped[str] = mapped_column(String(64))
    """The commit of the branch that the text was brought up to while it is not committed; mostly empty."""
    committed: Mapped[str] = mapped_column(String(64))
    """The commit of the branch in which it was last committed; empty until then."""
    sent: Mapped[str] = mapped_column(String(64))
    """SHA-256 of what was last sent to be committed, by which that is known again on the branch."""
    is_waiting: Mapped[bool]
    """There is something to commit that was not."""
    is_executable: Mapped[bool]
    version: Mapped[int]
    """Counts each saving: two windows of one person don't overwrite each other unseen."""
    updated_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class PlaceRecord:
    """A place as pages, changes and programs see it; it holds no secret."""

    id: str
    name: str
    kind: PlaceKind
    url: str
    project: str
    repository: str
    default_branch: str
    allowed_paths: tuple[str, ...]
    username: str
    has_token: bool
    authorities: str
    read_role: Role
    write_role: Role
    from_settings: bool
    created_at: datetime
    updated_at: datetime


def place_record(row: FilePlace) -> PlaceRecord:
    """Return what may be shown of a stored place."""
    return PlaceRecord(
        id=row.id,
        name=row.name,
        kind=PlaceKind(row.kind),
        url=row.url,
        project=row.project,
        repository=row.repository,
        default_branch=row.default_branch,
        allowed_paths=tuple(row.allowed_paths),
        username=row.username,
        has_token=row.token is not None,
        authorities=row.authorities,
        read_role=Role(row.read_role),
        write_role=Role(row.write_role),
        from_settings=row.from_settings,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
