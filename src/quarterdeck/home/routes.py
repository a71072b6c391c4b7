"""Pages: landing, search, keyboard help, patterns; and the choice of colours."""

from datetime import timedelta
from typing import Final

from flask import Blueprint, Response, render_template, request

from quarterdeck.core import web
from quarterdeck.core.chosen import THEMES
from quarterdeck.core.errors import Invalid
from quarterdeck.core.ui import pages, words
from quarterdeck.files.text import differences, merging
from quarterdeck.home.service import Home

blueprint = Blueprint("home", __name__, template_folder="templates")

_LONGEST_SEARCH: Final = 200
_TEXT: Final = "# Settings of the app\nserver:\n  port: 8080\n  hosts: [web-1, web-2]\n  tls: true\n"


@blueprint.get("/")
@web.allow("home.read")
def landing() -> str:
    return render_template("home/landing.html", **_landing_values())


@blueprint.get("/home/figures")
@web.allow("home.read")
def figures() -> str:
    return render_template("home/_figures.html", **_landing_values())


@blueprint.get("/search")
@web.allow("home.read")
def search() -> str:
    text = request.args.get("q", "")[:_LONGEST_SEARCH]
    found = web.part(Home).find(web.actor(), text, web.may)
    template = "home/_found.html" if "HX-Request" in request.headers else "home/search.html"
    return render_template(template, text=text.strip(), found=found)


@blueprint.get("/help/keyboard")
@web.allow("home.read")
def keyboard() -> str:
    return render_template("home/keyboard.html")


@blueprint.post("/help/keyboard")
@web.allow("home.read")
def keyboard_switch() -> Response:
    choice = "on" if request.form.get("shortcuts") == "on" else "off"
    return pages.remember(_back("/help/keyboard"), pages.KEYS_COOKIE, choice)


@blueprint.post("/theme")
@web.allow(web.PUBLIC)
def theme() -> Response:
    choice = request.form.get("theme", "")
    if choice not in THEMES:
        raise Invalid({"theme": f"Choose one of {', '.join(THEMES)}."})
    target = web.safe_path(request.form.get("next"))
    web.part(pages.Pages).choose_theme(web.actor(), choice)
    return pages.remember(_back(target), pages.THEME_COOKIE, choice)


@blueprint.get("/patterns")
@web.allow("node.read")
def patterns() -> str:
    now = web.part(pages.Pages).clock.now()
    return render_template(
        "home/patterns.html",
        states=words.STATES,
        moment=now - timedelta(minutes=3),
        values={"name": "web-1", "port": "22 ", "kind": "ssh", "note": "uptime\ndf -h /", "tags": ["web"]},
        errors={"port": "This must be a whole number from 1 to 65535."},
        **_text_values(),
    )


def _text_values() -> dict[str, object]:
    """Return what the parts for texts show: a file, what became of it, and what others made of it."""
    mine, theirs = _TEXT.replace("8080", "9090"), _TEXT.replace("8080", "80")
    return {
        "text": _TEXT,
        "text_lines": [[("comment" if "#" in line else "", line)] for line in _TEXT.splitlines()],
        "difference": differences.difference(_TEXT, mine.replace("true", "on").removesuffix("\n")),
        "merge": merging.merge(_TEXT, mine.replace("true", "on"), theirs),
        "pattern_address": lambda view: f"/patterns?view={view}#p-files",
    }


def _landing_values() -> dict[str, object]:
    home = web.part(Home)
    return {"cards": home.cards(web.actor(), web.may), "headline": home.headline(web.actor(), web.may)}


def _back(path: str) -> Response:
    return Response(status=303, headers={"Location": path})
