"""The Flask side of pages: template globals, bundle, error pages, and the guard before every handler."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, Protocol, cast
from urllib.parse import quote, urlsplit

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
)
from markupsafe import Markup

from quarterdeck import __version__
from quarterdeck.core import web
from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.chosen import SYSTEM_THEME, THEMES, Chosen
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Limited, QuarterdeckError, Unauthenticated
from quarterdeck.core.ui import words
from quarterdeck.core.ui.bundle import PREFIX, Bundle, load_bundle
from quarterdeck.core.ui.curl import curl
from quarterdeck.core.ui.guard import FIELD, Guard
from quarterdeck.core.zones import UTC_NAME, zone_named

DIST: Final = Path(__file__).parents[2] / "static" / "dist"
THEME_COOKIE: Final = "qd_theme"
KEYS_COOKIE: Final = "qd_keys"


class ToastView(Protocol):
    """What the frame needs of a toast."""

    @property
    def id(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def link(self) -> str: ...


@dataclass(frozen=True, slots=True)
class NavLink:
    """A link of the header, shown to whoever may follow it."""

    title: str
    url: str
    icon: str
    verb: str

    def is_current(self) -> bool:
        return request.path == self.url or (self.url != "/" and request.path.startswith(f"{self.url}/"))


NAVIGATION: Final = (
    NavLink(title="Home", url="/", icon="compass", verb="home.read"),
    NavLink(title="Hosts", url="/hosts", icon="hdd-stack", verb="host.read"),
    NavLink(title="Fleet", url="/fleet", icon="activity", verb="host.read"),
    NavLink(title="Runs", url="/runs", icon="play-circle", verb="run.read"),
    NavLink(title="Files", url="/files", icon="file-earmark-text", verb="file.read"),
    NavLink(title="History", url="/history", icon="journal-text", verb="history.read"),
    NavLink(title="API bases", url="/bases", icon="plug", verb="base.read"),
    NavLink(title="People", url="/people", icon="people", verb="person.read"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the factory hands to the pages."""

    guard: Guard
    clock: Clock
    node_name: str
    node_kind: str = "master"
    waiting_toasts: Callable[[], Sequence[ToastView]] = tuple
    """The toasts that the current actor has not seen yet."""
    toast_count: Callable[[], int] = int
    """How many toasts the bell announces to the current actor."""
    chosen_by: Callable[[Actor], Chosen] = lambda _: Chosen()
    choose_theme: Callable[[Actor, str], object] = lambda _actor, _theme: None
    """Remembers the colours for somebody who is signed in; the cookie remembers them for the browser."""
    time_zone: str = UTC_NAME
    """Of whoever chose none."""
    has_console: bool = True
    live_verb: str = ""
    """What it takes to see the live page: a verb, ``public``, or nothing where there is no such page."""
    folder: Path = DIST


def install(app: Flask, pages: Pages) -> None:
    """Give the app its frame. Call it after ``web.install``: permission is judged before the token."""
    bundle = load_bundle(pages.folder)
    web.provide(app, bundle, pages)
    app.register_blueprint(_blueprint())
    app.before_request(pages.guard.check)
    app.after_request(pages.guard.seal)
    app.context_processor(_surroundings)
    app.jinja_env.globals.update(_globals(pages, bundle))
    app.jinja_env.filters.update(_filters(pages.clock))
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def render_error(error: QuarterdeckError, status: int) -> Response | None:
    """Answer an error as a page, or as a notice for a part of one; None where a problem is wanted."""
    is_part = "HX-Request" in request.headers
    if web.wants_json() and not is_part:
        return None
    if isinstance(error, Unauthenticated) and not is_part and request.method == "GET":
        return _to_sign_in()
    template = "_error_notice.html" if is_part else "error.html"
    content = render_template(
        template, error=error, status=status, retry=_retry_path(), next_step=_next_step(status)
    )
    response = make_response(content, status)
    if is_part:
        # The part that could not be refreshed stays; the notice has a place of its own.
        response.headers["HX-Retarget"] = "#notices"
        response.headers["HX-Reswap"] = "innerHTML"
    if isinstance(error, Limited):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def csrf_field() -> Markup:
    """Return the hidden input that every form carries."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, csrf_token())


def csrf_token() -> str:
    """Return the token of this visit, for forms and for the header of scripts."""
    return web.part(Pages).guard.token()


def chosen() -> Chosen:
    """Return what the current actor chose, looked up once a request."""
    if "chosen" not in g:
        g.chosen = web.part(Pages).chosen_by(web.actor())
    return cast("Chosen", g.chosen)  # set here only


def theme() -> str:
    """Return the theme of the person, or else of the browser; ``system`` follows the browser's preference."""
    asked = chosen().theme or request.cookies.get(THEME_COOKIE, "")
    return asked if asked in THEMES else SYSTEM_THEME


def zone() -> tzinfo:
    """Return the zone in which times are shown to the current actor, and typed ones are read."""
    return zone_named(chosen().time_zone or web.part(Pages).time_zone)


def shortcuts_on() -> bool:
    """Tell whether single-key shortcuts are on (WCAG 2.1.4: they can be turned off)."""
    return request.cookies.get(KEYS_COOKIE) != "off"


def remember(response: Response, cookie: str, choice: str) -> Response:
    """Keep a choice of look in a cookie for a year; it holds no secret."""
    secure = request.is_secure or web.part(Pages).guard.public_url.startswith("https:")
    response.set_cookie(cookie, choice, max_age=31_536_000, secure=secure, httponly=True, samesite="Lax")
    return response


def _blueprint() -> Blueprint:
    blueprint = Blueprint("ui", __name__, template_folder="templates")

    @blueprint.get(f"{PREFIX}<name>")
    @web.allow(web.PUBLIC)
    def bundle_file(name: str) -> Response:
        return web.part(Bundle).answer(name)

    return blueprint


def api_call(method: str, path: str, body: Any = None) -> str:  # Any: JSON
    """Return the call of this node's API in a shell."""
    return curl(method, f"{request.host_url}api/v1{path}", body)


def _globals(pages: Pages, bundle: Bundle) -> dict[str, Any]:
    return {
        "asset": bundle.url,
        "icon_url": bundle.icon_url,
        "module": bundle.tags,
        "api_call": api_call,
        "csrf_field": csrf_field,
        "csrf_token": csrf_token,
        "may": web.may,
        "look_of": words.look_of,
        "counted": words.counted,
        "say": words.say,
        "version": __version__,
        "node": pages.node_name,
        "node_kind": pages.node_kind,
        "third_party": f"{PREFIX}third-party.txt",
        "waiting_toasts": pages.waiting_toasts,
        "toast_count": pages.toast_count,
    }


def _filters(clock: Clock) -> dict[str, Callable[..., Any]]:
    return {
        "size": words.size_text,
        "duration": words.duration_text,
        "time": lambda moment: words.time_text(moment, zone()),
        "time_title": lambda moment: words.time_title(moment, zone()),
        "clock": lambda moment: words.clock_text(moment, zone()),
        "stamp": words.utc_stamp,
        "age": lambda moment: words.age_text(moment, clock.now()),
    }


def _surroundings() -> dict[str, Any]:
    return {
        "actor": web.actor(),
        "is_signed_in": web.actor().kind is not ActorKind.NOBODY,
        "navigation": [link for link in NAVIGATION if web.may(link.verb)],
        "display_name": chosen().display_name,
        "language": words.LANGUAGE,
        "theme": theme(),
        "themes": THEMES,
        "zone": str(zone()),
        "shortcuts_on": shortcuts_on(),
        "request_id": g.get("request_id", "-"),
        "has_console": web.part(Pages).has_console,
        "has_live": _has_live(),
        "here": request.full_path.rstrip("?"),
    }


def _has_live() -> bool:
    verb = web.part(Pages).live_verb
    return verb == web.PUBLIC or bool(verb and web.may(verb))


def _to_sign_in() -> Response:
    target = request.full_path.rstrip("?")
    url = "/sign-in" if target == "/" else f"/sign-in?next={quote(target, safe='/')}"
    return current_app.make_response(redirect(url, 303))


def _retry_path() -> str:
    """Return where trying again starts: this page, or the one whose form was sent."""
    if request.method == "GET":
        return web.safe_path(request.full_path.rstrip("?"))
    parts = urlsplit(request.referrer or "")
    return web.safe_path(f"{parts.path}?{parts.query}" if parts.query else parts.path)


def _next_step(status: int) -> str:
    steps = {
        401: "Sign in, then come back to this page.",
        403: "If you should be able to do this, ask an administrator for the role.",
        404: "It may have been removed or renamed. The search finds hosts, runs and pages.",
        405: "This address takes no such request. Start again from the page with the form.",
        409: "Load the page again to see how things stand now, then decide.",
        413: "Send less at once.",
        429: "Nothing was done. The limit keeps this node free for everybody.",
        502: "Check that the other machine runs and can be reached, then try again.",
        503: "Nothing was changed. Try again once the cause is gone.",
    }
    return steps.get(status, "Try again. If it happens again, give the request id to an administrator.")
