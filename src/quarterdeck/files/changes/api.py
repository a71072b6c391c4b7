"""The JSON API of changes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from apiflask import APIBlueprint
from flask import Response
from pydantic import BaseModel, Field

from quarterdeck.core import costs, openapi, web
from quarterdeck.files.changes.answers import attachment, change_json, differences_json, draft_json
from quarterdeck.files.changes.conflicts import FileConflict, Side
from quarterdeck.files.changes.forms import (
    ChangeBody,
    ChangeListQuery,
    CommitBody,
    ConflictBody,
    DifferenceQuery,
    DraftBody,
    DraftQuery,
    FileBody,
    FirstCommitBody,
    ProposeBody,
)
from quarterdeck.files.changes.service import Changes
from quarterdeck.files.models import ChangeState, DraftAction

blueprint = APIBlueprint("changes_api", __name__, url_prefix="/api/v1", tag="Files")

Json = dict[str, Any]  # Any: JSON
_FAILS = {502: "The repository did not do it; the drafts are kept", 503: "Its limit of calls is reached"}
_BEGUN = {200: "You have it open already", 404: "There is no such place, or no such file there", **_FAILS}
_MOVED = {409: "It has ended, or others changed the same files: `paths` are to be taken in", **_FAILS}


class ChangeFileOut(BaseModel):
    """A file of a change. ``is_waiting``: there is something that is not committed."""

    path: str
    new_path: str
    action: DraftAction
    is_waiting: bool
    is_committed: bool
    version: int
    updated_at: datetime


class ChangeOut(BaseModel):
    """A change: a temporary branch and the files on it."""

    id: str
    place: str
    state: ChangeState
    branch: str
    target: str
    base: str = Field(description="The commit that the branch began from.")
    tip: str = Field(description="Where the branch is; empty until it is known that it was made.")
    has_branch: bool
    is_unsure: bool = Field(description="How the last step ended is not known; the next one finds out.")
    person: str
    files: list[ChangeFileOut]
    proposal_id: str
    proposal_url: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class FirstCommitOut(BaseModel, title="FirstCommit"):
    """The commit that a repository began with."""

    branch: str
    commit: str
    path: str


class ChangeListOut(BaseModel):
    """Changes, newest first; ``next_cursor`` is null on the last page."""

    changes: list[ChangeOut]
    next_cursor: str | None


class DraftOut(BaseModel, title="FileDraft"):
    """A file of a change with its text; null where it is no text, and ``why`` says in a word why."""

    path: str
    new_path: str
    action: DraftAction
    base: str
    text: str | None
    original: str | None
    why: str
    encoding: str
    line_end: str
    has_bom: bool
    version: int
    is_waiting: bool
    is_committed: bool
    updated_at: datetime


class FileDifferenceOut(BaseModel):
    """What a change does with one file; hunks are those of a unified difference."""

    path: str
    new_path: str
    action: DraftAction
    is_text: bool
    added: int
    removed: int
    is_cut: bool
    hunks: list[Json]


class DifferenceOut(BaseModel, title="ChangeDifference"):
    """What a change does with each of its files."""

    files: list[FileDifferenceOut]


class HunkOut(BaseModel, title="ConflictHunk"):
    """A part of the three texts; those of the kind ``conflict`` need a choice."""

    number: int
    kind: str
    base: str
    mine: str
    theirs: str


class ConflictOut(BaseModel, title="FileConflict"):
    """Three versions of a file; without ``hunks`` it is kept or taken whole."""

    path: str
    side: Side
    ref: str
    commit: str
    version: int
    is_clean: bool
    is_there: bool = Field(description="Whether the others have the file at all.")
    hunks: list[HunkOut] | None


@blueprint.get("/changes")
@web.allow("file.read")
@blueprint.input(ChangeListQuery, location="query", arg_name="query")
@blueprint.output(ChangeListOut)
@blueprint.doc(summary="List changes of files")
def change_list(query: ChangeListQuery) -> Json:
    page = _changes().list(web.actor(), query.query())
    return {
        "changes": [change_json(change) for change in page.changes],
        "next_cursor": page.older or None,
    }


@blueprint.post("/changes")
@web.allow("file.write")
@blueprint.input(ChangeBody, arg_name="body")
@blueprint.output(ChangeOut, status_code=201)
@blueprint.doc(summary="Begin a change of a file", responses=_BEGUN)
def change_begin(body: ChangeBody) -> tuple[Json, int, Mapping[str, str]]:
    """Makes a temporary branch and a draft of the file on it."""
    begun = _changes().begin(web.actor(), body.place, body.wanted())
    where = {"Location": f"/api/v1/changes/{begun.change.id}"}
    return change_json(begun.change), 201 if begun.is_new else 200, where


@blueprint.post("/places/<name>/first-commit")
@web.allow("file.write")
@blueprint.input(FirstCommitBody, arg_name="body")
@blueprint.output(FirstCommitOut, status_code=201)
@blueprint.doc(
    summary="Make the first commit of an empty repository",
    responses={404: "There is no such place", 409: "It has a commit already", **_FAILS},
)
def place_first_commit(name: str, body: FirstCommitBody) -> Json:
    """It is made on the main branch itself: there is nothing yet that a change could begin from."""
    made = _changes().first.make(web.actor(), name, body.file())
    return {"branch": made.branch, "commit": made.commit, "path": made.path}


@blueprint.get("/changes/<change_id>")
@web.allow("file.read")
@blueprint.output(ChangeOut)
@blueprint.doc(summary="Read a change")
def change_show(change_id: str) -> Json:
    """A pull request that is open is asked for where it stands, every 30 s at most."""
    return change_json(_changes().refreshed(web.actor(), change_id)[0])


@blueprint.post("/changes/<change_id>/files")
@web.allow("file.write")
@blueprint.input(FileBody, arg_name="body")
@blueprint.output(DraftOut, status_code=201)
@blueprint.doc(summary="Add a file to a change", responses=_MOVED)
def change_add_file(change_id: str, body: FileBody) -> tuple[Json, int, Mapping[str, str]]:
    draft = _changes().beginning.add_file(web.actor(), change_id, body.wanted())
    where = f"/api/v1/changes/{change_id}/drafts?path={quote(draft.path, safe='')}"
    return draft_json(draft), 201, {"Location": where}


@blueprint.get("/changes/<change_id>/drafts")
@web.allow("file.read")
@blueprint.input(DraftQuery, location="query", arg_name="query")
@blueprint.output(DraftOut)
@blueprint.doc(summary="Read a file of a change")
def change_draft(change_id: str, query: DraftQuery) -> Json:
    return draft_json(_changes().drafts.get(web.actor(), change_id, query.path))


@blueprint.put("/changes/<change_id>/drafts")
@web.allow("file.write")
@blueprint.input(DraftQuery, location="query", arg_name="query")
@blueprint.input(DraftBody, arg_name="body")
@blueprint.output(DraftOut)
@blueprint.doc(
    summary="Save a file of a change",
    responses={409: "Another window saved it: `version` and `text` are what is stored"},
)
def change_save(change_id: str, query: DraftQuery, body: DraftBody) -> Json:
    """Nothing is committed by it, and no repository is called."""
    content, drafts = body.content(), _changes().drafts
    if content is None:
        saved = drafts.save_text(web.actor(), change_id, query.path, body.text or "", body.version)
    else:
        saved = drafts.save_bytes(web.actor(), change_id, query.path, content, body.version)
    return draft_json(saved)


@blueprint.delete("/changes/<change_id>/drafts")
@web.allow("file.write")
@blueprint.input(DraftQuery, location="query", arg_name="query")
@blueprint.output({}, status_code=204)
@blueprint.doc(summary="Take a file out of a change", responses={409: "It is committed already"})
def change_drop(change_id: str, query: DraftQuery) -> tuple[str, int]:
    _changes().drafts.drop(web.actor(), change_id, query.path)
    return "", 204


@blueprint.get("/changes/<change_id>/download")
@web.allow("file.read")
@web.costs(costs.DOWNLOADS)
@openapi.also_answers("application/octet-stream")
@blueprint.input(DraftQuery, location="query", arg_name="query")
@blueprint.doc(summary="Download a file of a change", responses={200: "Its bytes"})
def change_download(change_id: str, query: DraftQuery) -> Response:
    return attachment(*_changes().download(web.actor(), change_id, query.path))


@blueprint.get("/changes/<change_id>/difference")
@web.allow("file.read")
@web.costs(costs.SEARCHES)
@blueprint.input(DifferenceQuery, location="query", arg_name="query")
@blueprint.output(DifferenceOut)
@blueprint.doc(summary="Compare the files of a change with what they were")
def change_difference(change_id: str, query: DifferenceQuery) -> Json:
    found = _changes().differences(
        web.actor(), change_id, ignores_space=query.ignore_space, context=query.context
    )
    return {"files": differences_json(found)}


@blueprint.get("/changes/<change_id>/patch")
@web.allow("file.read")
@web.costs(costs.SEARCHES)
@openapi.also_answers("text/plain")
@blueprint.doc(summary="Read a change as a patch that git applies", responses={200: "The patch"})
def change_patch(change_id: str) -> Response:
    return Response(_changes().patch(web.actor(), change_id), mimetype="text/plain")


@blueprint.post("/changes/<change_id>/commit")
@web.allow("file.write")
@blueprint.input(CommitBody, arg_name="body")
@blueprint.output(ChangeOut)
@blueprint.doc(summary="Commit what waits", responses=_MOVED)
def change_commit(change_id: str, body: CommitBody) -> Json:
    return change_json(_changes().commit(web.actor(), change_id, body.wish()))


@blueprint.get("/changes/<change_id>/conflict")
@web.allow("file.write")
@blueprint.input(DraftQuery, location="query", arg_name="query")
@blueprint.output(ConflictOut)
@blueprint.doc(summary="Read what others made of a file meanwhile", responses={404: "Nothing", **_FAILS})
def change_conflict(change_id: str, query: DraftQuery) -> Json:
    return _conflict_json(_changes().conflicts.get(web.actor(), change_id, query.path))


@blueprint.post("/changes/<change_id>/conflict")
@web.allow("file.write")
@blueprint.input(DraftQuery, location="query", arg_name="query")
@blueprint.input(ConflictBody, arg_name="body")
@blueprint.output(DraftOut)
@blueprint.doc(summary="Take in what others made of a file", responses=_MOVED)
def change_resolve(change_id: str, query: DraftQuery, body: ConflictBody) -> Json:
    """It goes into the draft; commit again afterwards."""
    return draft_json(_changes().conflicts.resolve(web.actor(), change_id, query.path, body.decision()))


@blueprint.post("/changes/<change_id>/propose")
@web.allow("file.write")
@blueprint.input(ProposeBody, arg_name="body")
@blueprint.output(ChangeOut)
@blueprint.doc(summary="Open a pull request", responses=_MOVED)
def change_propose(change_id: str, body: ProposeBody) -> Json:
    return change_json(_changes().propose(web.actor(), change_id, body.wish()))


@blueprint.post("/changes/<change_id>/merge")
@web.allow("file.write")
@blueprint.output(ChangeOut)
@blueprint.doc(summary="Merge the branch into its target, in a local repository", responses=_MOVED)
def change_merge(change_id: str) -> Json:
    return change_json(_changes().merge(web.actor(), change_id))


@blueprint.post("/changes/<change_id>/discard")
@web.allow("file.write")
@blueprint.output(ChangeOut)
@blueprint.doc(summary="Discard a change and its branch", responses=_MOVED)
def change_discard(change_id: str) -> Json:
    """The texts are kept."""
    return change_json(_changes().discard(web.actor(), change_id))


@blueprint.post("/changes/<change_id>/resume")
@web.allow("file.write")
@blueprint.output(ChangeOut, status_code=201)
@blueprint.doc(summary="Take up a discarded change on a new branch", responses=_MOVED)
def change_resume(change_id: str) -> tuple[Json, int, Mapping[str, str]]:
    made = _changes().beginning.resume(web.actor(), change_id)
    return change_json(made), 201, {"Location": f"/api/v1/changes/{made.id}"}


@blueprint.delete("/changes/<change_id>/branch")
@web.allow("file.write")
@blueprint.output(ChangeOut)
@blueprint.doc(summary="Remove the branch of a change that was merged or declined", responses=_MOVED)
def change_remove_branch(change_id: str) -> Json:
    return change_json(_changes().cleaning.remove_branch(web.actor(), change_id))


def _changes() -> Changes:
    return web.part(Changes)


def _conflict_json(conflict: FileConflict) -> Json:
    hunks = None
    if conflict.merge is not None:
        hunks = [
            {
                "number": number,
                "kind": hunk.kind.value,
                "base": hunk.base,
                "mine": hunk.mine,
                "theirs": hunk.theirs,
            }
            for number, hunk in enumerate(conflict.merge.hunks)
        ]
    return {
        "path": conflict.path,
        "side": conflict.side,
        "ref": conflict.ref,
        "commit": conflict.commit,
        "version": conflict.draft.version,
        "is_clean": conflict.merge is not None and conflict.merge.is_clean,
        "is_there": conflict.theirs is not None,
        "hunks": hunks,
    }
