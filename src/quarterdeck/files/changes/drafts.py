"""The drafts of a change: the texts that a person types, saved one by one, none over another unseen."""

from dataclasses import dataclass
from typing import Final

from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import Conflict, Invalid, TooLarge
from quarterdeck.files.changes.originals import Wanted, checked
from quarterdeck.files.changes.records import ChangeRecord, DraftRecord
from quarterdeck.files.changes.rights import ChangeRights
from quarterdeck.files.changes.states import check_open
from quarterdeck.files.changes.store import ChangeStore, StaleDraft, key_of
from quarterdeck.files.models import ChangeState, DraftAction, FileDraft
from quarterdeck.files.text import texts

MOST_UPLOADED: Final = 10_000_000
WHY_NOT_TEXT: Final = {
    "binary": "This is no text. Replace it by a file of yours.",
    "encoding": "This is no UTF-8. Choose the encoding, or replace it by a file of yours.",
    "lfs": "Git LFS keeps this file elsewhere; here is only a pointer to it.",
    "too-large": "This is too large for the editor. Replace it by a file of yours.",
}


class DraftClash(Conflict):
    """Another window has saved the same draft; both texts are there, and nothing is lost."""

    title = "Saved in another window meanwhile"

    def __init__(self, stored: DraftRecord, text: str | None) -> None:
        super().__init__(
            "Another window saved this draft meanwhile. Your text is kept here; look at the other one, then "
            "save yours over it or take that one.",
            version=stored.version,
            text=text,
        )
        self.stored, self.text = stored, text


@dataclass(frozen=True, slots=True)
class DraftText:
    """A draft as an editor shows it; ``text`` is None where it can't, and ``why`` says in a word why not."""

    text: str | None
    style: texts.Style
    why: str = ""

    @property
    def reason(self) -> str:
        """Return in a sentence why there is no text."""
        return WHY_NOT_TEXT.get(self.why, "")


class Drafts:
    """Saves what is typed and uploaded. No place is called for it, so that it works while none answers."""

    def __init__(self, store: ChangeStore, rights: ChangeRights) -> None:
        self._store, self._rights = store, rights

    def get(self, actor: Actor, change_id: str, path: str) -> DraftRecord:
        """Return a file of a change that one may read; raises NotFound."""
        return self._store.draft(self._rights.readable(actor, change_id).id, path)

    def save_text(
        self, actor: Actor, change_id: str, path: str, text: str, version: int | None = None
    ) -> DraftRecord:
        """Save what stands in an editor; with the version that it showed, only over that one.

        Raises DraftClash when another window was quicker, Invalid for what the file's encoding has not,
        TooLarge, and Conflict for a change that was merged or declined.
        """
        self._check(actor, change_id)
        draft = self._store.draft(change_id, path)
        return self._save(change_id, draft, encoded(draft, text), version)

    def save_bytes(
        self, actor: Actor, change_id: str, path: str, content: bytes, version: int | None = None
    ) -> DraftRecord:
        """Save an uploaded file as it is; raises as ``save_text``."""
        self._check(actor, change_id)
        if len(content) > MOST_UPLOADED:
            raise TooLarge(f"A file of a change has at most {MOST_UPLOADED // 1_000_000} MB.")
        return self._save(change_id, self._store.draft(change_id, path), content, version)

    def choose_encoding(self, actor: Actor, change_id: str, path: str, encoding: str) -> DraftRecord:
        """Say in which encoding the bytes of a file are to be read; raises Invalid."""
        self._check(actor, change_id)
        if encoding and encoding not in texts.ENCODINGS:
            raise Invalid({"encoding": f"Use one of {', '.join(texts.ENCODINGS)}."})
        draft = self._store.draft(change_id, path)
        if draft.encoding == encoding:
            return draft

        def choose(row: FileDraft) -> None:
            row.encoding = encoding

        return self._store.change_draft(change_id, path, choose)

    def rename(self, actor: Actor, change_id: str, path: str, new_path: str) -> DraftRecord:
        """Give a new file, or one that is renamed, another path; it must be clean and not in this change."""
        change = self._check(actor, change_id)
        draft = self._store.draft(change_id, path)
        if draft.action not in (DraftAction.NEW, DraftAction.RENAME) or draft.committed:
            raise Conflict("Only a new path that is not committed yet can be changed.")
        record, _ = self._rights.open(change)
        clean = checked(record, Wanted(new_path)).path
        if any(clean in (file.path, file.new_path) for file in change.files):
            raise Conflict(f"This change holds {clean} already.")

        def move(row: FileDraft) -> None:
            if draft.action is DraftAction.RENAME:
                row.new_path = clean
            else:
                row.path, row.path_key = clean, key_of(clean)

        return self._store.change_draft(change_id, path, move)

    def drop(self, actor: Actor, change_id: str, path: str) -> None:
        """Take a file out of a change; raises Conflict once it was committed."""
        change = self._rights.own(actor, change_id)
        check_open(change.state)
        if change.pending or self._store.draft(change_id, path).committed:
            raise Conflict(
                "This file is committed on the branch. Change it back there, or discard the change."
            )
        self._store.drop_draft(change_id, path)

    def _check(self, actor: Actor, change_id: str) -> ChangeRecord:
        """Return the change; a discarded one is still written to, for whoever typed meanwhile."""
        change = self._rights.own(actor, change_id)
        if change.state is not ChangeState.DISCARDED:
            check_open(change.state)
        return change

    def _save(self, change_id: str, draft: DraftRecord, content: bytes, version: int | None) -> DraftRecord:
        if draft.action is DraftAction.DELETE:
            raise Conflict("This change deletes the file; there is nothing to write into it.")
        if content == current(draft):
            return draft  # the same once more: whoever sent it has what is stored

        def put(row: FileDraft) -> None:
            row.content = content
            # Back at what the file was, there is nothing to commit, unless something else was.
            is_plain = row.action == DraftAction.UPDATE and not row.committed
            row.is_waiting = not is_plain or content != row.original

        try:
            return self._store.change_draft(change_id, draft.path, put, version=version)
        except StaleDraft as stale:
            if current(stale.stored) == content:
                return stale.stored
            raise DraftClash(stale.stored, text_of(stale.stored).text) from stale


def current(draft: DraftRecord) -> bytes | None:
    """Return what the file is to be, empty for a new one; None for what is kept in the repository alone."""
    if draft.action is DraftAction.NEW and draft.content is None:
        return b""
    return draft.wanted


def text_of(draft: DraftRecord) -> DraftText:
    """Return the text that an editor shows, with the style that it is written in."""
    return shown(current(draft), draft.encoding)


def original_text_of(draft: DraftRecord) -> DraftText:
    """Return the text that the file was, empty for a new one."""
    if draft.action is DraftAction.NEW:
        return DraftText("", texts.Style())
    return shown(draft.original, draft.encoding)


def shown(content: bytes | None, encoding: str = "") -> DraftText:
    """Return bytes as text where they are one."""
    if content is None:
        return DraftText(None, texts.Style(), "too-large")
    try:
        text, style = texts.decode(content, encoding=encoding)
    except texts.NotText as error:
        return DraftText(None, texts.Style(), error.why)
    return DraftText(text, style)


def encoded(draft: DraftRecord, text: str) -> bytes:
    """Return an edited text in the file's own manner; raises Invalid and TooLarge."""
    like = draft.original
    if like is None or shown(like, draft.encoding).text is None:
        like = draft.content
    return written(text, like=like, encoding=draft.encoding)


def written(text: str, *, like: bytes | None = None, encoding: str = "") -> bytes:
    """Return a text as a file, in the manner of another one where given; raises Invalid and TooLarge."""
    if "\0" in text:
        raise Invalid({"text": "A text can't hold a NUL character."})
    style = shown(like, encoding).style if like is not None else texts.Style()
    try:
        content = texts.encode(text, style) if like is None else texts.encode_like(like, text, style)
    except texts.Unwritable as error:
        raise Invalid({"text": str(error)}) from error
    if len(content) > texts.MOST_BYTES:
        raise TooLarge(
            f"The editor takes texts of up to {texts.MOST_BYTES // 1024:,} KB. Upload this one as a file."
        )
    return content
