"""The page that imports many hosts: paste or upload, look at what would be added, then import."""

from typing import Any

from flask import Blueprint, redirect, render_template, request

from quarterdeck.core import costs, web
from quarterdeck.core.errors import Invalid
from quarterdeck.hosts import keys
from quarterdeck.hosts.forms import split_tags
from quarterdeck.hosts.imports import MAX_BYTES, ImportDefaults, ImportFormat, ImportPlan, plan_import
from quarterdeck.hosts.service import Hosts

blueprint = Blueprint("host_import", __name__)

Answer = str | tuple[str, int] | Any  # Any: werkzeug's own response of a redirect


@blueprint.get("/hosts/import")
@web.allow("host.write")
def host_import() -> Answer:
    return _page({"format": ImportFormat.YAML}, {}, None)


@blueprint.post("/hosts/import")
@web.allow("host.write")
@web.costs(costs.IMPORTS)
def host_import_submit() -> Answer:
    """``step=preview`` shows the plan; ``step=import`` carries out the same text."""
    values = _values()
    try:
        plan = _plan(values)
    except Invalid as error:
        return _page(values, error.fields, None), 422
    if plan.is_good and request.form.get("step") == "import":
        web.part(Hosts).import_hosts(web.actor(), plan.drafts)
        return redirect("/hosts?sort=state", 303)
    return _page(values, {}, plan), 200 if plan.is_good else 422


def _values() -> dict[str, str]:
    names = ("format", "text", "username", "tags", "private_key", "passphrase")
    values = {name: request.form.get(name, "") for name in names}
    upload = request.files.get("file")
    if upload and upload.filename:
        values["text"] = upload.read(MAX_BYTES + 1).decode("utf-8", errors="replace")
    return values


def _plan(values: dict[str, str]) -> ImportPlan:
    if values["format"] not in set(ImportFormat):
        raise Invalid({"format": "Choose YAML or OpenSSH config."})
    secrets = {name: values[name] for name in ("private_key", "passphrase") if values[name]}
    if "private_key" in secrets and (
        fault := keys.private_key_fault(secrets["private_key"], values["passphrase"])
    ):
        raise Invalid({fault.field: fault.message})
    defaults = ImportDefaults(values["username"].strip(), split_tags(values["tags"]), secrets)
    return plan_import(web.part(Hosts), values["text"], ImportFormat(values["format"]), defaults)


def _page(values: dict[str, str], errors: dict[str, str], plan: ImportPlan | None) -> str:
    if plan is None or not plan.is_good:  # the second step sends the key again; nothing else may show it
        values = values | {"private_key": ""}
    return render_template("hosts/host_import.html", values=values, errors=errors, plan=plan)
