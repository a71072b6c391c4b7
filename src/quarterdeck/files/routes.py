"""The pages of files for everybody: which places there are, choosing a file, and looking at it."""

from typing import Final
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, make_response, render_template, request

from quarterdeck.core import costs, web
from quarterdeck.core.forms import parse
from quarterdeck.files.choosing import MOST_REFS, Choice, Question
from quarterdeck.files.forms import ChooseQuery, RawQuery, ViewQuery
from quarterdeck.files.looking import WORDS
from quarterdeck.files.paths import shown
from quarterdeck.files.place_drafts import KINDS
from quarterdeck.files.places.place import PlaceError, Ref, Throttled
from quarterdeck.files.raw_answer import answer_raw
from quarterdeck.files.service import Files
from quarterdeck.files.text.texts import ENCODINGS

blueprint = Blueprint("files", __name__, template_folder="templates")

Answer = str | Response
MOST_LINES: Final = 20_000
"""So many lines stand on the page of a file; the download has the others."""


@blueprint.get("/files")
@web.allow("file.read")
def file_home() -> Answer:
    places = web.part(Files).places
    writable = {record.name for record in places.list_places(web.actor(), "file.write")}
    return render_template(
        "files/file_home.html", places=places.list_places(web.actor()), writable=writable, kinds=KINDS
    )


@blueprint.get("/files/<name>")
@web.allow("file.read")
def file_choose(name: str) -> Answer:
    query = parse(ChooseQuery, _given())
    choosing = web.part(Files).choosing
    asked = Question(ref=query.checked_ref(), words=query.q.strip(), folder=query.path.strip("/"))
    refs, trouble = _refs(name, query.refs)  # first, so that the calls that are counted below are all of them
    choice = choosing.choose(web.actor(), name, asked)
    page = render_template(
        "files/file_choose.html",
        choice=choice,
        refs=refs,
        refs_trouble=trouble,
        refs_text=query.refs,
        most_refs=MOST_REFS,
        crumbs=_crumbs(choice.folder),
        query=_query,
        shown=shown,
        kinds=KINDS,
    )
    return _with_status(page, choice)


@blueprint.get("/files/<name>/view")
@web.allow("file.read")
def file_view(name: str) -> Answer:
    query = parse(ViewQuery, _given())
    looking = web.part(Files).looking
    view = looking.look(web.actor(), name, query.checked_ref(), query.path, encoding=query.encoding)
    lines, folder = looking.lines(view), view.path.rpartition("/")[0]
    return render_template(
        "files/file_view.html",
        view=view,
        lines=lines[:MOST_LINES],
        line_count=len(lines),
        most_lines=MOST_LINES,
        marked=query.marked,
        words=WORDS,
        encodings=ENCODINGS,
        crumbs=_crumbs(folder),
        folder=folder,
        encoding=query.encoding,
        query=_query,
        shown=shown,
    )


@blueprint.get("/files/<name>/raw")
@web.allow("file.read")
@web.costs(costs.DOWNLOADS)
def file_raw(name: str) -> Response:
    """The file as it is stored, to be kept as a file."""
    return answer_raw(web.actor(), name, parse(RawQuery, _given()))


def _given() -> dict[str, str]:
    return {name: value for name, value in request.args.items() if value}


def _query(**values: str) -> str:
    """Return the part of an address behind the path, without what says nothing."""
    text = urlencode({name: value for name, value in values.items() if value}, quote_via=quote)
    return f"?{text}" if text else ""


def _crumbs(folder: str) -> list[tuple[str, str]]:
    """Return name and path of each folder on the way."""
    parts = folder.split("/") if folder else []
    return [(part, "/".join(parts[: number + 1])) for number, part in enumerate(parts)]


def _refs(name: str, text: str) -> tuple[list[Ref], PlaceError | None]:
    try:
        return web.part(Files).choosing.refs(web.actor(), name, text), None
    except PlaceError as error:
        return [], error


def _with_status(page: str, choice: Choice) -> Response:
    """Answer with the trouble's status where there is nothing to choose, so that programs see it too."""
    trouble = choice.trouble
    response = make_response(page, 200 if trouble is None or choice.is_empty else trouble.status)
    if isinstance(trouble, Throttled):
        response.headers["Retry-After"] = str(trouble.retry_after)
    return response
