"""The JSON API of hosts and API bases; the shapes of hosts are fixed points that outside tools rely on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apiflask import APIBlueprint
from flask import request
from pydantic import BaseModel, Field

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import costs, web
from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form
from quarterdeck.hosts.forms import BaseBody, FingerprintBody, HostPatch, ImportBody, NewHostBody, TagsBody
from quarterdeck.hosts.host_keys import HostKey
from quarterdeck.hosts.imports import ImportFormat, plan_import
from quarterdeck.hosts.keys import fingerprint_of
from quarterdeck.hosts.models import BaseRecord, HostKind, HostRecord, HostState, KeyState
from quarterdeck.hosts.service import Hosts

blueprint = APIBlueprint("hosts_api", __name__, url_prefix="/api/v1", tag="Hosts")

Json = dict[str, Any]  # Any: JSON


class HostKeyOut(BaseModel):
    """Which key is pinned, and which other one the host showed and waits to be confirmed.

    The public keys themselves stand as in a known_hosts file, without the name.
    """

    state: KeyState
    fingerprint: str | None
    algorithm: str | None
    public_key: str | None
    shown_fingerprint: str | None
    shown_public_key: str | None


class HostOut(BaseModel):
    """A host; secrets are never part of it, only their names."""

    id: str
    name: str
    kind: HostKind
    address: str
    port: int
    username: str
    tags: list[str]
    state: HostState
    state_reason: str
    last_seen: datetime | None
    version: str
    host_key: HostKeyOut
    jump: str | None
    url: str | None
    dials_in: bool
    use_agent: bool
    stored_secrets: list[str]
    created_at: datetime
    state_since: datetime | None = Field(
        description="Since when it is in this state; null when an older version wrote it."
    )
    is_flapping: bool = Field(description="Its state changed 6 times in 10 minutes and is not steady yet.")
    clock_skew_seconds: float | None = Field(
        description="By how much its clock is ahead of the master's; null while that is less than 5 s."
    )
    silenced_until: datetime | None = Field(description="While it is silenced: until when.")


class HostListOut(BaseModel):
    """A page of hosts by name; ``next_cursor`` is the ``cursor`` of the next page, or null."""

    hosts: list[HostOut]
    next_cursor: str | None


class HostListQuery(Form):
    """Filters; each may hold several values, parted by commas or repeated; all of the tags must be there."""

    tag: str = Field(default="", max_length=1000)
    kind: str = Field(default="", max_length=100)
    state: str = Field(default="", max_length=100)
    q: str = Field(default="", max_length=200)
    cursor: str = Field(default="", max_length=63)
    limit: int = Field(default=200, ge=1, le=1000)


class SeenKeyOut(BaseModel):
    """A host key as people compare it."""

    algorithm: str
    fingerprint: str


class TestOut(BaseModel, title="HostTest"):
    """What a test found; ``host_key`` is a key that waits for confirmation."""

    ok: bool
    message: str
    elapsed_seconds: float
    host_key: SeenKeyOut | None


class ImportRowOut(BaseModel, title="ImportedHost"):
    """One host of an import."""

    name: str
    errors: dict[str, str]
    notes: list[str]


class ImportOut(BaseModel, title="HostImport"):
    """What an import added, or with ``preview`` would add."""

    imported: bool
    rows: list[ImportRowOut]


class BaseOut(BaseModel):
    """An API base; its bearer is never part of it."""

    id: str
    name: str
    url: str
    has_bearer: bool
    created_at: datetime


class BaseListOut(BaseModel):
    bases: list[BaseOut]


@blueprint.get("/hosts")
@web.allow("host.read")
@blueprint.input(HostListQuery, location="query", arg_name="query")
@blueprint.output(HostListOut)
@blueprint.doc(summary="List hosts by name")
def host_list(query: HostListQuery) -> Json:
    hosts = _hosts().list_hosts(
        tags=_several("tag"),
        kinds=_several("kind", HostKind),
        states=_several("state", HostState),
        q=query.q,
        after=query.cursor,
        limit=query.limit + 1,
        within=bounds_of(web.actor(), "host.read"),
    )
    shown = hosts[: query.limit]
    cursor = shown[-1].name if len(hosts) > query.limit else None
    return {"hosts": [host_json(host) for host in shown], "next_cursor": cursor}


@blueprint.post("/hosts")
@web.allow("host.write")
@blueprint.input(NewHostBody, arg_name="body")
@blueprint.output(HostOut, status_code=201)
@blueprint.doc(summary="Add a host", responses={409: "The name is in use"})
def host_add(body: NewHostBody) -> tuple[Json, int, Mapping[str, str]]:
    """Makes first contact, for as long as connecting may take; a host that is down is added all the same.

    The key that an SSH host shows first is pinned, unless `host_key` names the right one or
    `confirm_host_key` is true.
    """
    host = _hosts().add_host(web.actor(), body.draft(), confirm_key=body.confirm_host_key)
    return host_json(host), 201, {"Location": f"/api/v1/hosts/{host.name}"}


@blueprint.post("/hosts/import")
@web.allow("host.write")
@web.costs(costs.IMPORTS)
@blueprint.input(ImportBody, arg_name="body")
@blueprint.output(ImportOut)
@blueprint.doc(summary="Import hosts, all or none")
def host_import(body: ImportBody) -> Json:
    """Host keys wait for confirmation. With `preview` nothing is changed and faults are told by row."""
    plan = plan_import(_hosts(), body.text, ImportFormat(body.format))
    if not body.preview:
        if plan.faults:
            raise Invalid(plan.faults)
        _hosts().import_hosts(web.actor(), plan.drafts)
    rows = [{"name": row.name, "errors": dict(row.errors), "notes": list(row.notes)} for row in plan.rows]
    return {"imported": not body.preview, "rows": rows}


@blueprint.get("/hosts/<name>")
@web.allow("host.read")
@blueprint.output(HostOut)
@blueprint.doc(summary="Read a host")
def host_show(name: str) -> Json:
    web.require("host.read", f"host:{name}")
    return host_json(_hosts().get(name))


@blueprint.patch("/hosts/<name>")
@web.allow("host.write")
@blueprint.input(HostPatch, arg_name="body")
@blueprint.output(HostOut)
@blueprint.doc(summary="Change a host; what is left out stays")
def host_edit(name: str, body: HostPatch) -> Json:
    draft = body.applied_to(_hosts().get(name))
    return host_json(_hosts().edit_host(web.actor(), name, draft))


@blueprint.put("/hosts/<name>/tags")
@web.allow("host.write")
@blueprint.input(TagsBody, arg_name="body")
@blueprint.output(HostOut)
@blueprint.doc(summary="Make the tags of a host exactly these")
def host_tags(name: str, body: TagsBody) -> Json:
    return host_json(_hosts().set_tags(web.actor(), name, body.tags))


@blueprint.delete("/hosts/<name>")
@web.allow("host.write")
@blueprint.doc(
    summary="Remove a host with its secrets",
    responses={204: "Removed", 409: "Other hosts are reached over it"},
)
def host_remove(name: str) -> tuple[str, int]:
    _hosts().remove_host(web.actor(), name)
    return "", 204


@blueprint.post("/hosts/<name>/revoke")
@web.allow("host.write")
@blueprint.output(HostOut)
@blueprint.doc(summary="Revoke a worker", responses={409: "It is no worker, or revoked already"})
def host_revoke(name: str) -> Json:
    """Its token is refused from now on and it gets no more orders; what it runs is cancelled.

    Give it a `token` anew (PATCH) to have it back.
    """
    return host_json(_hosts().revoke_worker(web.actor(), name))


@blueprint.post("/hosts/<name>/test")
@web.allow("host.test")
@web.costs(costs.CONTACTS)
@blueprint.output(TestOut)
@blueprint.doc(summary="Connect to a host now")
def host_test(name: str) -> Json:
    """A failure is an answer too: `ok` is false and `message` says why."""
    web.require("host.test", f"host:{name}")
    result = _hosts().test_host(web.actor(), name)
    return {
        "ok": result.ok,
        "message": result.message,
        "elapsed_seconds": round(result.elapsed_seconds, 3),
        "host_key": _key_json(result.host_key) if result.host_key else None,
    }


@blueprint.post("/hosts/<name>/scan")
@web.allow("host.write")
@web.costs(costs.CONTACTS)
@blueprint.output(SeenKeyOut)
@blueprint.doc(
    summary="Look at the key that an SSH host shows now", responses={502: "The host does not answer"}
)
def host_scan(name: str) -> Json:
    return _key_json(_hosts().scan_host(web.actor(), name))


@blueprint.post("/hosts/<name>/host-key")
@web.allow("host.write")
@blueprint.input(FingerprintBody, arg_name="body")
@blueprint.output(HostOut)
@blueprint.doc(summary="Confirm a host key by its fingerprint", responses={409: "No key waits for it"})
def host_key_confirm(name: str, body: FingerprintBody) -> Json:
    """After a change, the fingerprint says which key is right: the new one or the pinned one."""
    return host_json(_hosts().confirm_host_key(web.actor(), name, body.fingerprint))


@blueprint.get("/bases")
@web.allow("base.read")
@blueprint.output(BaseListOut)
@blueprint.doc(summary="List API bases")
def base_list() -> Json:
    return {"bases": [_base_json(base) for base in _hosts().bases.list_bases()]}


@blueprint.post("/bases")
@web.allow("base.write")
@blueprint.input(BaseBody, arg_name="body")
@blueprint.output(BaseOut, status_code=201)
@blueprint.doc(summary="Add an API base", responses={409: "The name is in use"})
def base_add(body: BaseBody) -> tuple[Json, int, Mapping[str, str]]:
    base = _hosts().bases.add_base(web.actor(), body.name, body.url, body.bearer)
    return _base_json(base), 201, {"Location": f"/api/v1/bases/{base.name}"}


@blueprint.get("/bases/<name>")
@web.allow("base.read")
@blueprint.output(BaseOut)
@blueprint.doc(summary="Read an API base")
def base_show(name: str) -> Json:
    return _base_json(_hosts().bases.get(name))


@blueprint.delete("/bases/<name>")
@web.allow("base.write")
@blueprint.doc(summary="Remove an API base with its bearer", responses={204: "Removed"})
def base_remove(name: str) -> tuple[str, int]:
    _hosts().bases.remove_base(web.actor(), name)
    return "", 204


def host_json(host: HostRecord) -> Json:
    """Return a host as the API tells it."""
    known = host.host_key or host.seen_key
    return {
        "id": host.id,
        "name": host.name,
        "kind": host.kind,
        "address": host.address,
        "port": host.port,
        "username": host.username,
        "tags": list(host.tags),
        "state": host.state,
        "state_reason": host.state_reason,
        "last_seen": host.last_seen,
        "version": host.version,
        "host_key": {
            "state": host.key_state,
            "fingerprint": fingerprint_of(known) or None,
            "algorithm": known.split(" ")[0] or None,
            "public_key": known or None,
            "shown_fingerprint": fingerprint_of(host.seen_key) or None,
            "shown_public_key": host.seen_key or None,
        },
        "jump": host.jump if host.jump and web.may("host.read", f"host:{host.jump}") else None,
        "url": host.url or None,
        "dials_in": host.dials_in,
        "use_agent": host.use_agent,
        "stored_secrets": sorted(host.stored),
        "created_at": host.created_at,
        "state_since": host.state_since,
        "is_flapping": host.is_flapping,
        "clock_skew_seconds": host.clock_skew_seconds,
        "silenced_until": host.silenced_until,
    }


def _hosts() -> Hosts:
    return web.part(Hosts)


def _several(name: str, allowed: type[HostKind] | type[HostState] | None = None) -> list[str]:
    """Return the values of a filter; raises Invalid for one that there is not."""
    values = [word.strip() for text in request.args.getlist(name) for word in text.split(",") if word.strip()]
    if allowed and not set(values) <= set(allowed):
        raise Invalid({name: f"Use {', '.join(member.value for member in allowed)}."})
    return values


def _key_json(key: HostKey) -> Json:
    return {"algorithm": key.algorithm, "fingerprint": key.fingerprint}


def _base_json(base: BaseRecord) -> Json:
    return {
        "id": base.id,
        "name": base.name,
        "url": base.url,
        "has_bearer": base.has_bearer,
        "created_at": base.created_at,
    }
