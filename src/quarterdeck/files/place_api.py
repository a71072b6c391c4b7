"""The JSON API of places: what administrators set up, and what is in them for everybody who may read it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, Field

from quarterdeck.access.permissions import may
from quarterdeck.core import costs, web
from quarterdeck.core.actors import Role
from quarterdeck.core.errors import NotFound
from quarterdeck.core.openapi import also_answers
from quarterdeck.files.choosing import Choice, Question
from quarterdeck.files.forms import FileQuery, FilesQuery, PlaceBody, PlacePatch, RawQuery, RefsQuery
from quarterdeck.files.looking import View
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.places.place import CommitInfo, Entry, EntryKind
from quarterdeck.files.raw_answer import answer_raw
from quarterdeck.files.register import Places, target_of
from quarterdeck.files.service import Files

blueprint = APIBlueprint("places_api", __name__, url_prefix="/api/v1", tag="Files")

Json = dict[str, Any]  # Any: JSON


class PlaceOut(BaseModel):
    """A place of files. The token is told to nobody.

    ``username``, ``authorities``, and of a local place ``url``, are told to administrators.
    """

    id: str
    name: str
    kind: PlaceKind
    url: str
    project: str
    repository: str
    default_branch: str
    allowed_paths: list[str]
    username: str
    has_token: bool
    authorities: str
    read_role: Role
    write_role: Role
    can_write: bool = Field(description="Whether the caller may change files there.")
    can_remove: bool = Field(description="Whether its API can rename and delete files.")
    from_settings: bool
    created_at: datetime
    updated_at: datetime


class PlaceListOut(BaseModel):
    """The places that the caller may read, by name."""

    places: list[PlaceOut]


class CheckOut(BaseModel):
    """One thing that was tried."""

    name: str
    is_ok: bool
    detail: str


class PlaceTestOut(BaseModel, title="PlaceTest"):
    """What a test found, in the order tried; after the first that is not ok nothing follows."""

    passed: bool
    checks: list[CheckOut]


class RefOut(BaseModel):
    """A branch or a tag, and the commit at its tip."""

    name: str
    commit: str
    is_tag: bool
    changed_at: datetime | None


class RefListOut(BaseModel):
    """Branches, then tags, the latest changed first."""

    refs: list[RefOut]


class EntryOut(BaseModel, title="FileEntry"):
    """A path; ``size`` is null where the listing does not tell it."""

    path: str
    kind: EntryKind
    size: int | None


class OwnDraftOut(BaseModel, title="OwnDraft"):
    """A file that the caller is changing."""

    path: str
    change: str


class BudgetOut(BaseModel, title="CallBudget"):
    """Calls made in the last hour, and how many the repository's API allows; 0 when nobody knows."""

    used: int
    limit: int
    is_near_limit: bool


class FileListOut(BaseModel):
    """Files of a commit. ``trouble`` says why it is not the newest one."""

    ref: str
    commit: str
    asked_at: datetime = Field(description="When the commit of the ref was asked for.")
    trouble: str
    total: int = Field(description="How many files there are in all.")
    files: list[EntryOut]
    recent: list[EntryOut] = Field(description="What the caller looked at lately.")
    drafts: list[OwnDraftOut]
    budget: BudgetOut | None


class CommitOut(BaseModel, title="FileCommit"):
    """A commit."""

    id: str
    author: str
    at: datetime
    message: str


class FileOut(BaseModel):
    """A file at a commit; ``text`` is null where it can't be shown, and ``why`` says why in a word."""

    place: str
    ref: str
    commit: str
    path: str
    kind: EntryKind
    size: int
    is_executable: bool
    version: str
    text: str | None
    encoding: str
    line_end: str
    is_mixed: bool
    why: str
    target: str = Field(description="Where a symbolic link leads.")
    last_change: CommitOut | None
    link: str
    why_fixed: str = Field(description="Why the caller can't change it here; empty when they can.")


@blueprint.get("/places")
@web.allow("file.read")
@blueprint.output(PlaceListOut)
@blueprint.doc(summary="List places of files")
def place_list() -> Json:
    return {"places": [_place(record) for record in _places().list_places(web.actor())]}


@blueprint.post("/places")
@web.allow("place.write")
@blueprint.input(PlaceBody, arg_name="body")
@blueprint.output(PlaceOut, status_code=201)
@blueprint.doc(summary="Add a place", responses={409: "The name is in use"})
def place_add(body: PlaceBody) -> tuple[Json, int, Mapping[str, str]]:
    added = _places().add(web.actor(), body.draft())
    return _place(added), 201, {"Location": f"/api/v1/places/{added.name}"}


@blueprint.get("/places/<name>")
@web.allow("file.read")
@blueprint.output(PlaceOut)
@blueprint.doc(summary="Read a place")
def place_show(name: str) -> Json:
    return _place(_places().get(web.actor(), name))


@blueprint.patch("/places/<name>")
@web.allow("place.write")
@blueprint.input(PlacePatch, arg_name="body")
@blueprint.output(PlaceOut)
@blueprint.doc(summary="Change a place", responses={409: "The name is in use, or the settings define it"})
def place_change(name: str, body: PlacePatch) -> Json:
    before = _places().get(web.actor(), name, "place.write")
    return _place(_places().change(web.actor(), name, body.applied_to(before)))


@blueprint.delete("/places/<name>")
@web.allow("place.write")
@blueprint.output({}, status_code=204)
@blueprint.doc(summary="Remove a place with its token", responses={409: "The settings define it"})
def place_remove(name: str) -> str:
    _places().remove(web.actor(), name)
    return ""


@blueprint.post("/places/<name>/test")
@web.allow("place.write")
@web.costs(costs.CONTACTS)
@blueprint.output(PlaceTestOut)
@blueprint.doc(summary="Try a place, without changing anything there")
def place_test(name: str) -> Json:
    checks = _places().test(web.actor(), name)
    told = [{"name": check.name, "is_ok": check.is_ok, "detail": check.detail} for check in checks]
    return {"passed": all(check.is_ok for check in checks), "checks": told}


@blueprint.get("/places/<name>/refs")
@web.allow("file.read")
@blueprint.input(RefsQuery, location="query", arg_name="query")
@blueprint.output(RefListOut)
@blueprint.doc(summary="Branches and tags of a place")
def ref_list(name: str, query: RefsQuery) -> Json:
    refs = _files().choosing.refs(web.actor(), name, query.q, limit=query.limit)
    return {
        "refs": [
            {"name": ref.name, "commit": ref.commit, "is_tag": ref.is_tag, "changed_at": ref.changed_at}
            for ref in refs
        ]
    }


@blueprint.get("/places/<name>/files")
@web.allow("file.read")
@blueprint.input(FilesQuery, location="query", arg_name="query")
@blueprint.output(FileListOut)
@blueprint.doc(summary="Find files of a place")
def file_list(name: str, query: FilesQuery) -> Json:
    asked = Question(ref=query.checked_ref(), words=query.q, limit=query.limit)
    return _listed(_files().choosing.choose(web.actor(), name, asked))


@blueprint.get("/places/<name>/file")
@web.allow("file.read")
@blueprint.input(FileQuery, location="query", arg_name="query")
@blueprint.output(FileOut)
@blueprint.doc(summary="Read a file as text")
def file_show(name: str, query: FileQuery) -> Json:
    ref = query.checked_ref()
    return _file(_files().looking.look(web.actor(), name, ref, query.path, encoding=query.encoding))


@blueprint.get("/places/<name>/raw")
@web.allow("file.read")
@web.costs(costs.DOWNLOADS)
@also_answers("application/octet-stream", "text/plain")
@blueprint.input(RawQuery, location="query", arg_name="query")
@blueprint.doc(
    summary="Download a file as it is stored",
    responses={
        200: "The bytes, as text/plain or application/octet-stream",
        206: "A range of them",
        304: "The client has it already",
    },
)
def file_raw(name: str, query: RawQuery) -> Response:
    return answer_raw(web.actor(), name, query)


def _files() -> Files:
    return web.part(Files)


def _places() -> Places:
    return _files().places


def _place(record: PlaceRecord) -> Json:
    actor = web.actor()
    knows_all = may(actor, "place.write")
    return {
        "id": record.id,
        "name": record.name,
        "kind": record.kind,
        "url": record.url if knows_all or record.kind is not PlaceKind.LOCAL else "",
        "project": record.project,
        "repository": record.repository,
        "default_branch": record.default_branch,
        "allowed_paths": list(record.allowed_paths),
        "username": record.username if knows_all else "",
        "has_token": record.has_token,
        "authorities": record.authorities if knows_all else "",
        "read_role": record.read_role,
        "write_role": record.write_role,
        "can_write": may(actor, "file.write", target_of(record)),
        "can_remove": record.kind.can_remove,
        "from_settings": record.from_settings,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
    }


def _listed(choice: Choice) -> Json:
    """Return a choice; raises what kept it from being made."""
    if choice.standing is None or choice.listing is None:
        raise choice.trouble or NotFound("There is nothing to choose from.")
    budget, trouble = choice.budget, choice.standing.trouble
    return {
        "ref": choice.ref,
        "commit": choice.standing.commit,
        "asked_at": choice.standing.asked_at,
        "trouble": trouble.message if trouble else "",
        "total": len(choice.listing),
        "files": _entries(choice.found),
        "recent": _entries(choice.recent),
        "drafts": [{"path": draft.path, "change": draft.change_id} for draft in choice.drafts],
        "budget": budget
        and {"used": budget.used, "limit": budget.limit, "is_near_limit": budget.is_near_limit},
    }


def _entries(entries: Sequence[Entry]) -> list[Json]:
    return [{"path": entry.path, "kind": entry.kind, "size": entry.size} for entry in entries]


def _file(view: View) -> Json:
    stat, style = view.stat, view.style
    return {
        "place": view.place.name,
        "ref": view.ref,
        "commit": view.commit,
        "path": view.path,
        "kind": stat.kind,
        "size": stat.size,
        "is_executable": stat.is_executable,
        "version": stat.version,
        "text": view.text,
        "encoding": style.encoding if style else "",
        "line_end": style.line_end if style else "",
        "is_mixed": bool(style and style.is_mixed),
        "why": view.why,
        "target": view.target,
        "last_change": _commit(view.last_change),
        "link": view.link,
        "why_fixed": view.why_fixed,
    }


def _commit(commit: CommitInfo | None) -> Json | None:
    if commit is None:
        return None
    return {"id": commit.id, "author": commit.author, "at": commit.at, "message": commit.message}
