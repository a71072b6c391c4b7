"""How changes and drafts are told to programs, and how files are handed out."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final
from urllib.parse import quote

from flask import Response

from quarterdeck.files.changes.drafts import original_text_of, text_of
from quarterdeck.files.changes.records import ChangeFile, ChangeRecord, DraftRecord
from quarterdeck.files.changes.service import FileDifference
from quarterdeck.history.texts import guarded_cell, visible

Json = dict[str, Any]  # Any: JSON

_COLUMNS: Final = (
    "id", "place", "state", "person", "files", "branch", "target", "created_at", "updated_at", "ended_at",
    "proposal_url",
)  # fmt: skip


def change_json(change: ChangeRecord) -> Json:
    """Return a change as the API has it."""
    return {
        "id": change.id,
        "place": change.place,
        "state": change.state,
        "branch": change.branch,
        "target": change.target,
        "base": change.base,
        "tip": change.tip,
        "has_branch": change.has_branch,
        "is_unsure": change.is_unsure,
        "person": change.person,
        "files": [_file_json(file) for file in change.files],
        "proposal_id": change.proposal_id,
        "proposal_url": change.proposal_url,
        "created_at": change.created_at,
        "updated_at": change.updated_at,
        "ended_at": change.ended_at,
    }


def draft_json(draft: DraftRecord) -> Json:
    """Return a draft with both of its texts."""
    shown = text_of(draft)
    return {
        "path": draft.path,
        "new_path": draft.new_path,
        "action": draft.action,
        "base": draft.base,
        "text": shown.text,
        "original": original_text_of(draft).text,
        "why": shown.why,
        "encoding": shown.style.encoding,
        "line_end": shown.style.line_end,
        "has_bom": shown.style.has_bom,
        "version": draft.version,
        "is_waiting": draft.is_waiting,
        "is_committed": bool(draft.committed),
        "updated_at": draft.updated_at,
    }


def differences_json(found: Sequence[FileDifference]) -> list[Json]:
    """Return what a change does with its files, line by line."""
    return [_difference_json(each) for each in found]


def csv_of(changes: Iterable[ChangeRecord]) -> str:
    """Return a list of changes as CSV in which no cell becomes a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(_COLUMNS)
    for change in changes:
        writer.writerow([guarded_cell(visible(_cell(change, column))) for column in _COLUMNS])
    return buffer.getvalue()


def attachment(draft: DraftRecord, content: bytes) -> Response:
    """Answer with a file as nothing but bytes to be saved, whatever is in it or in its name."""
    name = draft.final_path.rpartition("/")[2]
    plain = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "_" for each in name)
    answer = Response(content, mimetype="application/octet-stream")
    encoded = quote(name, safe="", errors="replace")
    answer.headers["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    return answer


def _file_json(file: ChangeFile) -> Json:
    return {
        "path": file.path,
        "new_path": file.new_path,
        "action": file.action,
        "is_waiting": file.is_waiting,
        "is_committed": file.is_committed,
        "version": file.version,
        "updated_at": file.updated_at,
    }


def _difference_json(each: FileDifference) -> Json:
    compared = each.difference
    hunks = compared.hunks if compared else ()
    return {
        "path": each.path,
        "new_path": each.new_path,
        "action": each.action,
        "is_text": compared is not None,
        "added": compared.added if compared else 0,
        "removed": compared.removed if compared else 0,
        "is_cut": compared is not None and compared.is_cut,
        "hunks": [
            {
                "title": hunk.title,
                "lines": [line.mark + "".join(piece.text for piece in line.pieces) for line in hunk.lines],
            }
            for hunk in hunks
        ],
    }


def _cell(change: ChangeRecord, column: str) -> str:
    if column == "files":
        return " ".join(change.paths)
    value = getattr(change, column)
    if value is None:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
