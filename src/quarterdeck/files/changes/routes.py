"""The pages of changes: the list, one of them, its begin and its end."""

from typing import Any, Final
from urllib.parse import urlencode

from flask import Blueprint, Response, json, redirect, render_template, request

from quarterdeck.core import costs, web
from quarterdeck.core.errors import Conflict, Invalid, QuarterdeckError, TooLarge
from quarterdeck.core.forms import parse
from quarterdeck.files.changes.answers import change_json, csv_of
from quarterdeck.files.changes.beginning import check_possible
from quarterdeck.files.changes.forms import (
    MOST_LISTED,
    UNFINISHED,
    ChangeListQuery,
    FileBody,
    FirstCommitBody,
    ProposeBody,
)
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.changes.service import Changes
from quarterdeck.files.models import ChangeState, DraftAction, PlaceKind
from quarterdeck.files.places.place import PlaceError
from quarterdeck.files.service import Files

blueprint = Blueprint("changes", __name__, template_folder="../templates")

Page = str | tuple[str, int]
Answer = Page | Any  # Any: werkzeug's own response of a redirect

_STATES: Final = [
    (UNFINISHED, "Without an end yet"),
    (ChangeState.OPEN.value, "Not committed yet"),
    (ChangeState.COMMITTED.value, "Committed"),
    (ChangeState.PROPOSED.value, "With an open pull request"),
    (ChangeState.MERGED.value, "Merged"),
    (ChangeState.DECLINED.value, "Declined"),
    (ChangeState.DISCARDED.value, "Discarded"),
    ("all", "All"),
]
_FILTERS: Final = ("state", "person", "place", "q", "cursor")


@blueprint.get("/files/changes")
@web.allow("file.read")
def change_list() -> Page:
    """Show the list; the filters' own requests get the rows alone."""
    query = _list_query()
    page = _changes().list(web.actor(), query.query())
    shown = {name: getattr(query, name) for name in _FILTERS}
    asked = {name: value for name, value in shown.items() if value and name != "cursor"}
    older = f"/files/changes?{urlencode(asked | {'cursor': page.older})}" if page.older else ""
    return render_template(
        "files/_changes.html" if "HX-Request" in request.headers else "files/change_list.html",
        changes=page.changes,
        filters=shown,
        states=_STATES,
        places=[("", "All"), *((each.name, each.name) for each in _readable())],
        newest_url=f"/files/changes?{urlencode(asked)}" if query.cursor else "",
        older_url=older,
        export_query=urlencode(asked),
        may_end=lambda change: _changes().may_end(web.actor(), change),
    )


@blueprint.get("/files/changes.csv")
@web.allow("file.read")
@web.costs(costs.EXPORTS)
def change_list_csv() -> Response:
    return _file(csv_of(_exported()), "csv")


@blueprint.get("/files/changes.json")
@web.allow("file.read")
@web.costs(costs.EXPORTS)
def change_list_json() -> Response:
    return _file(json.dumps([change_json(change) for change in _exported()], default=str), "json")


@blueprint.get("/files/<name>/new")
@web.allow("file.write")
def change_new(name: str) -> Page:
    """Ask for the path of a new file; ``path`` is the folder that was looked at."""
    folder, ref = request.args.get("path", ""), request.args.get("ref", "")
    values = {"path": f"{folder}/" if folder else "", "ref": ref, "action": DraftAction.NEW.value}
    return _begin_page(name, values, {})


@blueprint.post("/files/<name>/new")
@web.allow("file.write")
def change_begin(name: str) -> Answer:
    """Begin a change of whatever kind, and lead to its editor; on a mistake show the form again."""
    values = _values("path", "new_path", "ref", "commit", "action", "encoding")
    if values["action"] == DraftAction.RENAME and "new_path" not in request.form:
        return _rename_page(name, values)
    try:
        begun = _changes().begin(web.actor(), name, _wanted(name, values))
    except (Invalid, Conflict, PlaceError) as error:
        return _begin_page(name, values, _messages(error, "path")), error.status
    if values["action"] == DraftAction.DELETE:
        return redirect(f"/files/changes/{begun.change.id}/commit", 303)
    more = {} if begun.is_new else {"kept": "yes"}
    return redirect(edit_url(begun.change.id, begun.path, **more), 303)


@blueprint.get("/files/<name>/first")
@web.allow("file.write")
def first_commit_ask(name: str) -> Page:
    """Ask for the file that an empty repository begins with."""
    return _first_page(name, {"path": "README.md", "message": "Begin"}, {})


@blueprint.post("/files/<name>/first")
@web.allow("file.write")
def first_commit(name: str) -> Answer:
    values = _values("path", "text", "message")
    try:
        made = _changes().first.make(web.actor(), name, parse(FirstCommitBody, values).file())
    except (Invalid, TooLarge, PlaceError) as error:
        field = "text" if isinstance(error, TooLarge) else "path"
        return _first_page(name, values, _messages(error, field)), error.status
    return redirect(f"/files/{name}/view?{urlencode({'ref': made.branch, 'path': made.path})}", 303)


@blueprint.get("/files/changes/<change_id>")
@web.allow("file.read")
def change_show(change_id: str) -> Page:
    return _show(change_id, {}, {})


@blueprint.post("/files/changes/<change_id>/files")
@web.allow("file.write")
def change_add_file(change_id: str) -> Answer:
    values = _values("path", "action", "new_path")
    try:
        draft = _changes().beginning.add_file(web.actor(), change_id, parse(FileBody, values).wanted())
    except (Invalid, Conflict, PlaceError) as error:
        return _show(change_id, values, _messages(error, "path")), error.status
    if draft.action is DraftAction.DELETE:
        return redirect(f"/files/changes/{change_id}?added=yes", 303)
    return redirect(edit_url(change_id, draft.path), 303)


@blueprint.get("/files/changes/<change_id>/propose")
@web.allow("file.write")
def change_propose_ask(change_id: str) -> Page:
    change = _changes().get(web.actor(), change_id)
    files = ", ".join(path.rpartition("/")[2] for path in change.paths[:3])
    return _propose_page(change, {"title": f"Change {files}", "close_source": "true"}, {})


@blueprint.post("/files/changes/<change_id>/propose")
@web.allow("file.write")
def change_propose(change_id: str) -> Answer:
    values = _values("title", "description", "reviewers", "close_source")
    try:
        wish = parse(
            ProposeBody,
            values
            | {
                "reviewers": values["reviewers"].replace(",", " ").split(),
                "close_source": bool(values["close_source"]),
            },
        ).wish()
        _changes().propose(web.actor(), change_id, wish)
    except (Invalid, Conflict, PlaceError) as error:
        change = _changes().get(web.actor(), change_id)
        return _propose_page(change, values, _messages(error, "title")), error.status
    return redirect(f"/files/changes/{change_id}?proposed=yes", 303)


@blueprint.post("/files/changes/<change_id>/merge")
@web.allow("file.write")
def change_merge(change_id: str) -> Answer:
    try:
        _changes().merge(web.actor(), change_id)
    except (Conflict, PlaceError) as error:
        return _show(change_id, {}, {}, fault=error.message), error.status
    return redirect(f"/files/changes/{change_id}?merged=yes", 303)


@blueprint.get("/files/changes/<change_id>/discard")
@web.allow("file.write")
def change_discard_ask(change_id: str) -> Page:
    change = _changes().get(web.actor(), change_id)
    is_own = _changes().may_edit(web.actor(), change)
    return render_template("files/change_discard.html", change=change, is_own=is_own)


@blueprint.post("/files/changes/<change_id>/discard")
@web.allow("file.write")
def change_discard(change_id: str) -> Answer:
    try:
        _changes().discard(web.actor(), change_id)
    except (Conflict, PlaceError) as error:
        return _show(change_id, {}, {}, fault=error.message), error.status
    return redirect(f"/files/changes/{change_id}?discarded=yes", 303)


@blueprint.post("/files/changes/<change_id>/resume")
@web.allow("file.write")
def change_resume(change_id: str) -> Answer:
    try:
        made = _changes().beginning.resume(web.actor(), change_id)
    except (Conflict, PlaceError) as error:
        return _show(change_id, {}, {}, fault=error.message), error.status
    return redirect(f"/files/changes/{made.id}?resumed=yes", 303)


@blueprint.post("/files/changes/<change_id>/remove-branch")
@web.allow("file.write")
def change_remove_branch(change_id: str) -> Answer:
    try:
        _changes().cleaning.remove_branch(web.actor(), change_id)
    except (Conflict, PlaceError) as error:
        return _show(change_id, {}, {}, fault=error.message), error.status
    return redirect(f"/files/changes/{change_id}?removed=yes", 303)


def edit_url(change_id: str, path: str, **more: str) -> str:
    """Return the address of the editor of a file."""
    return f"/files/changes/{change_id}/edit?{urlencode({'path': path} | more)}"


def _changes() -> Changes:
    return web.part(Changes)


def _readable() -> list[Any]:  # Any: places, for a list of names
    return list(web.part(Files).places.list_places(web.actor()))


def _list_query(**more: Any) -> ChangeListQuery:  # Any: fields of the query
    asked = {name: request.args[name] for name in _FILTERS if request.args.get(name)}
    return parse(ChangeListQuery, asked | more)


def _exported() -> list[ChangeRecord]:
    """Return all that fits, page by page."""
    found: list[ChangeRecord] = []
    cursor = ""
    while True:
        query = _list_query(limit=MOST_LISTED, cursor=cursor)
        page = _changes().list(web.actor(), query.query())
        found += page.changes
        cursor = page.older
        if not cursor:
            return found


def _file(text: str, kind: str) -> Response:
    mimetype = "text/csv" if kind == "csv" else "application/json"
    answer = Response(text, mimetype=mimetype)
    answer.headers["Content-Disposition"] = f'attachment; filename="changes.{kind}"'
    return answer


def _values(*names: str) -> dict[str, str]:
    return {name: request.form.get(name, "") for name in names}


def _messages(error: QuarterdeckError, field: str) -> dict[str, str]:
    return error.fields if isinstance(error, Invalid) else {field: error.message}


def _wanted(place: str, values: dict[str, str]) -> Wanted:
    names = {name: values[name] for name in ("path", "new_path", "encoding")}
    body = parse(FileBody, names | {"action": values["action"] or DraftAction.NEW.value})
    target, base = _changes().beginning.target_of(web.actor(), place, values["ref"], values["commit"])
    return Wanted(body.path, body.action, body.new_path, target, base, body.encoding)


def _begin_page(place: str, values: dict[str, str], errors: dict[str, str]) -> str:
    record = web.part(Files).places.get(web.actor(), place, "file.write")
    known = values["action"] in set(DraftAction)
    return render_template(
        "files/change_begin.html",
        place=record,
        action=DraftAction(values["action"]) if known else DraftAction.NEW,
        values=values,
        errors=errors,
    )


def _first_page(place: str, values: dict[str, str], errors: dict[str, str]) -> str:
    record = web.part(Files).places.get(web.actor(), place, "file.write")
    return render_template("files/first_commit.html", place=record, values=values, errors=errors)


def _rename_page(place: str, values: dict[str, str]) -> Page:
    """Ask for the new path, unless the place can't rename."""
    try:
        check_possible(web.part(Files).places.get(web.actor(), place, "file.write"), DraftAction.RENAME)
    except PlaceError as error:
        return _begin_page(place, values, {"path": error.message}), error.status
    return _begin_page(place, values, {})


def _show(change_id: str, values: dict[str, str], errors: dict[str, str], *, fault: str = "") -> str:
    changes = _changes()
    change, unknown = changes.refreshed(web.actor(), change_id)
    record = changes.record_of(change)
    is_local = record is not None and record.kind is PlaceKind.LOCAL
    can_remove = record is None or record.kind.can_remove
    return render_template(
        "files/change.html",
        change=change,
        values=values,
        errors=errors,
        fault=fault,
        unknown=unknown,
        is_local=is_local,
        is_gone=record is None,
        is_own=changes.may_edit(web.actor(), change),
        may_end=changes.may_end(web.actor(), change),
        branch_url=changes.link_to_branch(change),
        is_conflicted=changes.proposing.is_conflicted(change),
        actions=[(each.value, each.value.capitalize()) for each in _actions(can_remove)],
        can_remove=can_remove,
        edit_url=edit_url,
    )


def _actions(can_remove: bool) -> list[DraftAction]:
    return list(DraftAction) if can_remove else [DraftAction.UPDATE, DraftAction.NEW]


def _propose_page(change: ChangeRecord, values: dict[str, str], errors: dict[str, str]) -> str:
    return render_template("files/change_propose.html", change=change, values=values, errors=errors)
