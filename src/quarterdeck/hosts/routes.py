"""The pages of hosts."""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, urlencode

from flask import Blueprint, redirect, render_template, request

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import costs, web
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.core.ui.guard import FIELD
from quarterdeck.hosts import base_routes, import_routes, invitation_routes
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.forms import kept_values, read_host_form
from quarterdeck.hosts.keys import fingerprint_of
from quarterdeck.hosts.models import SECRETS, HostKind, HostRecord, HostState
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.store import SORTS, HostQuery

blueprint = Blueprint("hosts", __name__, template_folder="templates")
blueprint.register_blueprint(import_routes.blueprint)
blueprint.register_blueprint(invitation_routes.blueprint)
blueprint.register_blueprint(base_routes.blueprint)

PAGE_SIZE: Final = 100
NEW_KINDS: Final = (HostKind.SSH, HostKind.WORKER)

Page = str | tuple[str, int]
Answer = Page | Any  # Any: werkzeug's own response of a redirect


@blueprint.get("/hosts")
@web.allow("host.read")
def host_list() -> Page:
    """Show the list; the filters' own requests get the rows alone."""
    template = "hosts/_rows.html" if "HX-Request" in request.headers else "hosts/host_list.html"
    return render_template(template, **_list_context())


@blueprint.get("/hosts/rows")
@web.allow("host.read")
def host_rows() -> Page:
    return render_template("hosts/_rows.html", **_list_context())


@blueprint.get("/hosts/new")
@web.allow("host.write")
def host_new() -> Page:
    """Show the choice of kinds, or with ``?kind=`` the fields of one."""
    kind = request.args.get("kind", "")
    if kind not in NEW_KINDS:
        return render_template("hosts/host_kinds.html")
    return _new_page(HostKind(kind), {"use_agent": ""}, {})


@blueprint.post("/hosts/new")
@web.allow("host.write")
def host_add() -> Answer:
    kind = request.args.get("kind", "")
    if kind not in NEW_KINDS:
        raise NotFound("There is no such kind of host; choose one.")
    values = _form_values()
    try:
        host = _hosts().add_host(web.actor(), _draft_of(values, HostKind(kind)))
    except (Invalid, Conflict) as error:
        return _new_page(HostKind(kind), values, _messages(error)), error.status
    return redirect(_url(host, added="yes"), 303)


@blueprint.get("/hosts/<name>")
@web.allow("host.read")
def host_show(name: str) -> Page:
    web.require("host.read", f"host:{name}")
    return _host_page(_hosts().get(name))


@blueprint.get("/hosts/<name>/state")
@web.allow("host.read")
def host_state(name: str) -> Page:
    """The part of the page that changes by itself."""
    web.require("host.read", f"host:{name}")
    return render_template("hosts/_host.html", **_host_context(_hosts().get(name)))


@blueprint.post("/hosts/<name>/test")
@web.allow("host.test")
@web.costs(costs.CONTACTS)
def host_test(name: str) -> Page:
    """Answers with the page and the result on it: a test changes nothing that a reload could repeat."""
    web.require("host.test", f"host:{name}")
    result = _hosts().test_host(web.actor(), name)
    return _host_page(_hosts().get(name), result=result)


@blueprint.post("/hosts/<name>/scan")
@web.allow("host.write")
@web.costs(costs.CONTACTS)
def host_scan(name: str) -> Answer:
    host = _hosts().get(name)
    _hosts().scan_host(web.actor(), name)
    return redirect(f"{_url(host)}#host-key", 303)


@blueprint.post("/hosts/<name>/host-key")
@web.allow("host.write")
def host_key_confirm(name: str) -> Answer:
    try:
        host = _hosts().confirm_host_key(web.actor(), name, request.form.get("fingerprint", ""))
    except Invalid as error:
        return _host_page(_hosts().get(name), errors=error.fields), 422
    return redirect(_url(host, confirmed="yes"), 303)


@blueprint.get("/hosts/<name>/edit")
@web.allow("host.write")
def host_edit(name: str) -> Page:
    host = _hosts().get(name)
    values = kept_values(host)
    values |= {"port": host.port if host.kind is HostKind.SSH else "", "tags": ", ".join(host.tags)}
    return _edit_page(host, values, {})


@blueprint.post("/hosts/<name>/edit")
@web.allow("host.write")
def host_change(name: str) -> Answer:
    host = _hosts().get(name)
    values = _form_values()
    try:
        changed = _hosts().edit_host(web.actor(), name, _draft_of(values, host.kind))
    except (Invalid, Conflict) as error:
        return _edit_page(host, values, _messages(error)), error.status
    return redirect(_url(changed, saved="yes"), 303)


@blueprint.get("/hosts/<name>/remove")
@web.allow("host.write")
def host_remove_ask(name: str) -> Page:
    host = _hosts().get(name)
    return render_template("hosts/host_remove.html", host=host, over=_hosts().jumping_over(host))


@blueprint.post("/hosts/<name>/remove")
@web.allow("host.write")
def host_remove(name: str) -> Answer:
    _hosts().remove_host(web.actor(), name)
    return redirect("/hosts", 303)


@blueprint.get("/hosts/<name>/revoke")
@web.allow("host.write")
def host_revoke_ask(name: str) -> Page:
    return render_template("hosts/host_revoke.html", host=_hosts().get(name))


@blueprint.post("/hosts/<name>/revoke")
@web.allow("host.write")
def host_revoke(name: str) -> Answer:
    return redirect(_url(_hosts().revoke_worker(web.actor(), name), revoked="yes"), 303)


def _hosts() -> Hosts:
    return web.part(Hosts)


def _url(host: HostRecord, **query: str) -> str:
    path = f"/hosts/{quote(host.name)}"
    return f"{path}?{urlencode(query)}" if query else path


def _form_values() -> dict[str, Any]:  # Any: one text, or the texts of "forget"
    values: dict[str, Any] = {name: text for name, text in request.form.items() if name != FIELD}
    values["forget"] = tuple(request.form.getlist("forget"))
    upload = request.files.get("private_key_file")
    if upload and upload.filename and not values.get("private_key"):
        values["private_key"] = upload.read(40_000).decode("utf-8", errors="replace")
    return values


def _draft_of(values: dict[str, Any], kind: HostKind) -> HostDraft:
    fields = {name: value for name, value in values.items() if name != "forget"}
    return read_host_form(fields, values["forget"]).draft(kind)


def _messages(error: Invalid | Conflict) -> dict[str, str]:
    """Return what to say beside which field."""
    if isinstance(error, Invalid):
        return error.fields
    return dict(error.extra.get("errors") or {"name": error.message})


def _new_page(kind: HostKind, values: dict[str, Any], errors: dict[str, str]) -> str:
    return render_template(
        "hosts/host_new.html",
        kind=kind,
        values=_without_secrets(values),
        errors=errors,
        jumps=_jumps(""),
        stored=frozenset(),
    )


def _edit_page(host: HostRecord, values: dict[str, Any], errors: dict[str, str]) -> str:
    return render_template(
        "hosts/host_edit.html",
        host=host,
        kind=host.kind,
        values=_without_secrets(values),
        errors=errors,
        jumps=_jumps(host.name),
        stored=host.stored,
    )


def _without_secrets(values: dict[str, Any]) -> dict[str, Any]:  # Any: what the template takes
    return {name: value for name, value in values.items() if name not in SECRETS}


def _jumps(but: str) -> list[tuple[str, str]]:
    hosts = _hosts().list_hosts(kinds=(HostKind.SSH,))
    return [("", "None, connect directly"), *((host.name, host.name) for host in hosts if host.name != but)]


def _host_page(host: HostRecord, **more: Any) -> str:  # Any: what the template takes
    return render_template("hosts/host.html", **{"errors": {}, "result": None} | _host_context(host) | more)


def _host_context(host: HostRecord) -> dict[str, Any]:  # Any: what the template takes
    return {
        "host": host,
        "is_limited": bounds_of(web.actor(), "host.read") is not None,
        "pinned": fingerprint_of(host.host_key),
        "shown": fingerprint_of(host.seen_key),
    }


def _list_context() -> dict[str, Any]:  # Any: what the template takes
    query, number = _list_query()
    hosts = _hosts().list.select(query)
    total = _hosts().list.count(query)
    filters = {name: request.args.get(name, "") for name in ("q", "state", "kind", "tag", "sort")}
    return {
        "hosts": hosts,
        "is_limited": query.within is not None,
        "total": total,
        "first": query.offset + 1,
        "counts": _hosts().counts(query.within),
        "filters": filters,
        "is_filtered": any(filters[name] for name in ("q", "state", "kind", "tag")),
        "rows_url": f"/hosts/rows?{request.query_string.decode()}",
        "newest_url": _list_url(page="") if number > 1 else "",
        "older_url": _list_url(page=str(number + 1)) if query.offset + len(hosts) < total else "",
        "sort_url": _sort_url,
        "filter_url": _list_url,
        "state_options": _options(HostState),
        "kind_options": _options(HostKind),
        "tag_options": _options(_hosts().list.tags(query.within)),
    }


def _options(words: Iterable[str]) -> list[tuple[str, str]]:
    return [("", "Any"), *((str(word), str(word)) for word in words)]


def _list_query() -> tuple[HostQuery, int]:
    """Return the query of the address; words that mean nothing are left out rather than refused."""
    chosen = request.args
    state, kind, sort = chosen.get("state", ""), chosen.get("kind", ""), chosen.get("sort", "")
    page = chosen.get("page", "")
    number = int(page) if page.isdecimal() and 0 < len(page) < 6 else 1
    query = HostQuery(
        tags=tuple(filter(None, chosen.getlist("tag"))),
        kinds=(kind,) if kind in set(HostKind) else (),
        states=(state,) if state in set(HostState) else (),
        q=chosen.get("q", "")[:200],
        sort=sort if sort.removeprefix("-") in SORTS else "name",
        limit=PAGE_SIZE,
        offset=(max(number, 1) - 1) * PAGE_SIZE,
        within=bounds_of(web.actor(), "host.read"),
    )
    return query, number


def _list_url(**changes: str) -> str:
    """Return the list's address with some filters changed; a changed filter begins at the first page."""
    values = {**request.args.to_dict(), "page": "", **changes}
    query = urlencode({name: value for name, value in values.items() if value})
    return f"/hosts?{query}" if query else "/hosts"


def _sort_url(key: str) -> str:
    """Return where a click on a column's head leads: sort by it, or turn the order round."""
    current = request.args.get("sort", "") or "name"
    return _list_url(sort=f"-{key}" if current == key else key)
