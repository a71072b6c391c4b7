"""The pages of a file in a change: edited, compared, committed, and brought up to what others made of it."""

from contextlib import closing
from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, render_template, request

from quarterdeck.core import costs, web
from quarterdeck.core.errors import Conflict, Invalid, QuarterdeckError, TooLarge
from quarterdeck.files.changes.answers import attachment
from quarterdeck.files.changes.committing import CommitWish, FilesMoved
from quarterdeck.files.changes.conflicts import Decision, FileConflict, Keep, Side
from quarterdeck.files.changes.drafts import MOST_UPLOADED, DraftClash, text_of
from quarterdeck.files.changes.forms import checked_hash
from quarterdeck.files.changes.records import ChangeRecord, DraftRecord
from quarterdeck.files.changes.service import Changes
from quarterdeck.files.places.place import PlaceError
from quarterdeck.files.text import texts

blueprint = Blueprint("edits", __name__, template_folder="../templates")

Page = str | tuple[str, int]
Answer = Page | Any  # Any: werkzeug's own response of a redirect

_ADVICE: Final = {
    "refused": "Nothing was committed. Ask an administrator to test the place: its token or its rights "
    "don’t do.",
    "throttled": "Nothing was committed. Wait as long as it says, then commit again.",
    "unanswered": "Nothing was committed. Commit again when it answers.",
    "unchanged": "There is nothing to commit: the files are as they are on the branch.",
    "exists": "Nothing was committed. Give your file another path, or take in what is there.",
    "missing": "Nothing was committed. The branch or the repository is not there any more, or hidden.",
    "partly-committed": "Some files are committed and the others are not. Commit again for these.",
    "stale": "Nothing was committed.",
    "target-moved": "Nothing was committed.",
}
"""What to do, by the cause of a failed step; the text is kept in any case."""


@blueprint.get("/files/changes/<change_id>/edit")
@web.allow("file.read")
def file_edit(change_id: str) -> Page:
    change = _changes().get(web.actor(), change_id)
    draft = _changes().drafts.get(web.actor(), change_id, request.args.get("path", ""))
    return _edit_page(change, draft)


@blueprint.post("/files/changes/<change_id>/edit")
@web.allow("file.write")
def file_save(change_id: str) -> Answer:
    """Save the draft, whatever comes next; on any failure the text is on the page again."""
    path, text = request.args.get("path", ""), request.form.get("text")
    try:
        draft = _saved(change_id, path, text)
    except (Conflict, Invalid, TooLarge) as error:
        return _unsaved(change_id, path, text, error), error.status
    return redirect(_next_url(change_id, draft.path), 303)


@blueprint.post("/files/changes/<change_id>/encoding")
@web.allow("file.write")
def file_encoding(change_id: str) -> Answer:
    path = request.args.get("path", "")
    _changes().drafts.choose_encoding(web.actor(), change_id, path, request.form.get("encoding", ""))
    return redirect(_url(change_id, "edit", path=path), 303)


@blueprint.post("/files/changes/<change_id>/drop")
@web.allow("file.write")
def file_drop(change_id: str) -> Answer:
    _changes().drafts.drop(web.actor(), change_id, request.args.get("path", ""))
    return redirect(f"/files/changes/{change_id}?dropped=yes", 303)


@blueprint.get("/files/changes/<change_id>/download")
@web.allow("file.read")
@web.costs(costs.DOWNLOADS)
def file_download(change_id: str) -> Response:
    return attachment(*_changes().download(web.actor(), change_id, request.args.get("path", "")))


@blueprint.get("/files/changes/<change_id>/difference")
@web.allow("file.read")
@web.costs(costs.SEARCHES)
def change_difference(change_id: str) -> Page:
    change = _changes().get(web.actor(), change_id)
    is_own = _changes().may_edit(web.actor(), change)
    return render_template(
        "files/change_difference.html", change=change, is_own=is_own, **_differences(change_id)
    )


@blueprint.get("/files/changes/<change_id>/commit")
@web.allow("file.write")
@web.costs(costs.SEARCHES)
def change_commit_ask(change_id: str) -> Page:
    change = _changes().get(web.actor(), change_id)
    return _commit_page(change, {"message": _usual_message(change)}, {})


@blueprint.post("/files/changes/<change_id>/commit")
@web.allow("file.write")
def change_commit(change_id: str) -> Answer:
    form = request.form
    wish = CommitWish(form.get("message", ""), form.get("tip", ""), bool(form.get("despite_target")))
    try:
        _changes().commit(web.actor(), change_id, wish)
    except (Invalid, Conflict, PlaceError) as error:
        change = _changes().get(web.actor(), change_id)
        return _commit_page(change, {"message": wish.message}, _fields(error), error), error.status
    return redirect(f"/files/changes/{change_id}?committed=yes", 303)


@blueprint.get("/files/changes/<change_id>/conflict")
@web.allow("file.write")
def file_conflict(change_id: str) -> Answer:
    """Show the versions of one file; without a path, the first that others changed."""
    path = request.args.get("path", "")
    if not path:
        return _next_conflict(change_id)
    conflict = _changes().conflicts.get(web.actor(), change_id, path)
    return _conflict_page(change_id, conflict, {})


@blueprint.post("/files/changes/<change_id>/conflict")
@web.allow("file.write")
def file_resolve(change_id: str) -> Answer:
    path = request.args.get("path", "")
    try:
        _changes().conflicts.resolve(web.actor(), change_id, path, _decision())
    except (Invalid, Conflict) as error:
        conflict = _changes().conflicts.get(web.actor(), change_id, path)
        errors = _fields(error) or {"keep": error.message}
        return _conflict_page(change_id, conflict, errors), error.status
    return _next_conflict(change_id)


def _changes() -> Changes:
    return web.part(Changes)


def _url(change_id: str, page: str, **asked: str) -> str:
    return f"/files/changes/{change_id}/{page}?{urlencode(asked)}"


def _saved(change_id: str, path: str, text: str | None) -> DraftRecord:
    """Save an uploaded file where there is one, else the text; without either nothing is to be saved."""
    drafts, version = _changes().drafts, _version()
    if (content := _uploaded()) is not None:
        return drafts.save_bytes(web.actor(), change_id, path, content, version)
    if text is None:
        return drafts.get(web.actor(), change_id, path)
    return drafts.save_text(web.actor(), change_id, path, text, version)


def _uploaded() -> bytes | None:
    """Return the file that was sent, one byte more of it than may be; None where none was chosen."""
    upload = request.files.get("file")
    if upload is None:
        return None
    with closing(upload.stream):  # beside a long text it is a file on disk, also an empty one
        return upload.stream.read(MOST_UPLOADED + 1) if upload.filename else None


def _version() -> int | None:
    text = request.form.get("version", "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        raise Invalid({"version": "This is no version of a draft."})
    return int(text)


def _next_url(change_id: str, path: str) -> str:
    """Return where the pressed button leads to."""
    following = request.form.get("next", "save")
    if following == "difference":
        return _url(change_id, "difference", path=path)
    if following == "commit":
        return f"/files/changes/{change_id}/commit"
    if following == "download":
        return _url(change_id, "download", path=path)
    return _url(change_id, "edit", path=path, saved="yes")


def _unsaved(change_id: str, path: str, text: str | None, error: QuarterdeckError) -> str:
    """Return the editor with what was typed and why it could not be saved."""
    change = _changes().get(web.actor(), change_id)
    draft = _changes().drafts.get(web.actor(), change_id, path)
    return _edit_page(change, draft, text=text, error=error)


def _edit_page(
    change: ChangeRecord,
    draft: DraftRecord,
    *,
    text: str | None = None,
    error: QuarterdeckError | None = None,
) -> str:
    shown = text_of(draft)
    is_own = _changes().may_edit(web.actor(), change)
    return render_template(
        "files/file_edit.html",
        change=change,
        draft=draft,
        shown=shown,
        text=shown.text if text is None else texts.unified(text),
        stored=error.text if isinstance(error, DraftClash) else None,
        is_clash=isinstance(error, DraftClash),
        errors=_fields(error) if error else {},
        fault=error.message if error and not isinstance(error, Invalid) else "",
        others=_changes().editors_of(web.actor(), change.place_id, draft.final_path),
        is_own=is_own,
        is_readonly=not is_own or change.is_final,
        encodings=[("", "Choose"), *texts.ENCODINGS.items()],
        path_query=urlencode({"path": draft.path}),
        most_kilobytes=texts.MOST_BYTES // 1024,
    )


def _differences(change_id: str) -> dict[str, Any]:  # Any: what a template shows
    ignores_space = request.args.get("space") == "ignore"
    return {
        "files": _changes().differences(web.actor(), change_id, ignores_space=ignores_space),
        "view": "unified" if request.args.get("view") == "unified" else "side",
        "ignores_space": ignores_space,
    }


def _usual_message(change: ChangeRecord) -> str:
    if len(change.waiting) != 1:
        return ""
    file = change.waiting[0]
    if file.new_path:
        return f"Rename {file.path} to {file.new_path}"
    verb = {"new": "Add", "delete": "Delete"}.get(file.action.value, "Update")
    return f"{verb} {file.path}"


def _commit_page(
    change: ChangeRecord,
    values: dict[str, str],
    errors: dict[str, str],
    error: QuarterdeckError | None = None,
) -> str:
    is_fault = error is not None and not isinstance(error, Invalid)
    return render_template(
        "files/change_commit.html",
        change=change,
        values=values,
        errors=errors,
        fault=error.message if error is not None and is_fault else "",
        advice=_advice(error, change) if error is not None and is_fault else "",
        moved=error if isinstance(error, FilesMoved) else None,
        is_own=_changes().may_edit(web.actor(), change),
        **_differences(change.id),
    )


def _advice(error: QuarterdeckError, change: ChangeRecord) -> str:
    """Return what to do about a commit that failed; when its end is not known, the page says so anyway."""
    return "" if change.is_unsure else _ADVICE.get(str(error.extra.get("cause")), "")


def _fields(error: QuarterdeckError) -> dict[str, str]:
    return error.fields if isinstance(error, Invalid) else {}


def _next_conflict(change_id: str) -> Answer:
    """Lead to the next file that others changed, else to the commit."""
    left = _changes().conflicts.find(web.actor(), change_id)
    if left:
        return redirect(_url(change_id, "conflict", path=left[0]), 303)
    return redirect(f"/files/changes/{change_id}/commit", 303)


def _conflict_page(change_id: str, conflict: FileConflict, errors: dict[str, str]) -> str:
    return render_template(
        "files/file_conflict.html",
        change=_changes().get(web.actor(), change_id),
        conflict=conflict,
        choices=_numbered("choice-"),
        own=_numbered("own-"),
        missing=[int(name.removeprefix("conflict-")) for name in errors if name.startswith("conflict-")],
        fault=errors.get("keep", "") or errors.get("text", ""),
        path_query=urlencode({"path": conflict.path}),
    )


def _decision() -> Decision:
    """Read what was chosen: ``keep``, or for each hunk ``choice-N`` and, with an own text, ``own-N``."""
    form = request.form
    keep, side = form.get("keep", ""), form.get("side", "")
    if keep and keep not in set(Keep):
        raise Invalid({"keep": f"Choose {' or '.join(Keep)}."})
    if side not in set(Side):
        raise Invalid({"side": f"This must be {' or '.join(Side)}."})
    return Decision(
        checked_hash(form.get("commit", "")),
        Side(side),
        _version(),
        Keep(keep) if keep else None,
        _numbered("choice-"),
        {number: texts.unified(text) for number, text in _numbered("own-").items()},
    )


def _numbered(prefix: str) -> dict[int, str]:
    return {
        int(name.removeprefix(prefix)): value
        for name, value in request.form.items()
        if name.startswith(prefix) and name.removeprefix(prefix).isdecimal() and len(name) < 20
    }
