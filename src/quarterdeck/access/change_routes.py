"""The page of what was changed in access, read from the history: a part of ``grant_routes``."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from flask import Blueprint, render_template, request

from quarterdeck.access.changes import KINDS, actions_of, change_of, object_of
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.core.ui import pages
from quarterdeck.history.query import ACTIONS, HistoryQuery, read_query
from quarterdeck.history.reader import HistoryPage
from quarterdeck.history.rows import rows_of
from quarterdeck.history.service import History

blueprint = Blueprint("changes", __name__, template_folder="templates")

_PATH: Final = "/access/changes"
_ASKED: Final = ("kind", "by", "about", "since", "until", "cursor")
_LONGEST: Final = 200
_OFFERED: Final = 500


@blueprint.get(_PATH)
@web.allow("person.read")
def change_list() -> str | tuple[str, int]:
    """Show the newest changes of access; the filters' own requests get the rows alone."""
    asked = {name: request.args.get(name, "").strip()[:_LONGEST] for name in _ASKED}
    try:
        page = web.part(History).page(_query(asked))
    except Invalid as error:
        return _page(asked, HistoryPage(()), error.fields), 422
    return _page(asked, page, {})


def _query(asked: Mapping[str, str]) -> HistoryQuery:
    """Return what is asked of the history; raises Invalid under the names of the page's own fields."""
    if asked["kind"] not in KINDS:
        raise Invalid({"kind": "Choose one of the list."})
    return read_query(_filters(asked) | {"kind": ACTIONS, "cursor": asked["cursor"]}, zone=pages.zone())


def _filters(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the page's filters as the history names them."""
    return {
        "action": actions_of(asked["kind"]),
        "actor": _as_kept(asked["by"]),
        "object": object_of(_as_kept(asked["about"])),
        "since": asked["since"],
        "until": asked["until"],
    }


def _as_kept(name: str) -> str:
    """Return a person's name as it stands in the history, however it was typed; else the text itself."""
    try:
        return web.part(Access).person(name).name
    except NotFound:
        return name


def _page(asked: Mapping[str, str], page: HistoryPage, errors: Mapping[str, str]) -> str:
    is_part = "HX-Request" in request.headers
    return render_template(
        "access/_changes.html" if is_part else "access/changes.html",
        changes=[change_of(row) for row in rows_of(page)],
        values=asked,
        errors=errors,
        is_part=is_part,
        is_filtered=any(asked[name] for name in _ASKED),
        kinds=[(name, words) for name, (words, _) in KINDS.items()],
        people=[] if is_part else [person.name for person in web.part(Access).list_people()][:_OFFERED],
        export_query=urlencode({name: value for name, value in _filters(asked).items() if value}),
        scanned_back_to=page.scanned_back_to,
        older_url=_url(asked, cursor=page.next_cursor) if page.next_cursor else "",
        newest_url=_url(asked, cursor="") if asked["cursor"] else "",
    )


def _url(asked: Mapping[str, str], **changes: str) -> str:
    query = urlencode({name: value for name, value in {**asked, **changes}.items() if value})
    return f"{_PATH}?{query}" if query else _PATH
