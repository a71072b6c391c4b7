"""The page of silences: those that go on, those to come, those that are over, and the form for a new one."""

from typing import Any, Final

from flask import Blueprint, redirect, render_template, request

from quarterdeck.access.permissions import bounds_of
from quarterdeck.core import web
from quarterdeck.core.errors import Invalid
from quarterdeck.core.ui.pages import zone
from quarterdeck.hosts.forms import read_silence_form
from quarterdeck.hosts.models import SilencePhase, SilenceRecord
from quarterdeck.hosts.service import Hosts
from quarterdeck.hosts.silences import LONGEST, Silences, may_silence_tag

blueprint = Blueprint("silences", __name__, template_folder="templates")

Answer = str | tuple[str, int] | Any  # Any: werkzeug's own response of a redirect

_FIELDS: Final = ("host", "tag", "begins_at", "ends_at", "reason")


@blueprint.get("/fleet/silences")
@web.allow("host.read")
def silence_list() -> Answer:
    return _page({name: request.args.get(name, "") for name in ("host", "tag")}, {})


@blueprint.post("/fleet/silences")
@web.allow("host.silence")
def silence_add() -> Answer:
    values = {name: request.form.get(name, "").strip() for name in _FIELDS}
    try:
        draft = read_silence_form(values, zone())
        _silences().add(web.actor(), draft, bounds_of(web.actor(), "host.silence"))
    except Invalid as error:
        return _page(values, error.fields), error.status
    return redirect("/fleet/silences?added=yes", 303)


@blueprint.post("/fleet/silences/<silence_id>/end")
@web.allow("host.silence")
def silence_end(silence_id: str) -> Answer:
    _silences().end(web.actor(), silence_id, bounds_of(web.actor(), "host.silence"))
    return redirect("/fleet/silences?ended=yes", 303)


def _silences() -> Silences:
    return web.part(Hosts).silences


def _page(values: dict[str, str], errors: dict[str, str]) -> str:
    hosts = web.part(Hosts)
    now = hosts.silences.now()
    phases: dict[SilencePhase, list[SilenceRecord]] = {phase: [] for phase in SilencePhase}
    for each in hosts.silences.select((), bounds_of(web.actor(), "host.read")):
        phases[each.phase(now)].append(each)
    return render_template(
        "hosts/silence_list.html",
        phases=phases,
        values=values,
        errors=errors,
        tags=_tags(),
        may_end=_may_end,
        longest_days=LONGEST.days,
    )


def _tags() -> list[tuple[str, str]]:
    within = bounds_of(web.actor(), "host.silence")
    tags = web.part(Hosts).list.tags(within)
    return [("", "None, a single host"), *((tag, tag) for tag in tags if may_silence_tag(within, tag))]


def _may_end(silence: SilenceRecord) -> bool:
    if silence.host:
        return web.may("host.silence", f"host:{silence.host}")
    return web.may("host.silence") and may_silence_tag(bounds_of(web.actor(), "host.silence"), silence.tag)
