"""The drawer: the toasts of whoever looks, and closing them."""

from typing import Any

from flask import Blueprint, g, redirect, render_template, request

from quarterdeck.core import web
from quarterdeck.core.actors import ActorKind
from quarterdeck.notify.models import Toast, ToastLevel
from quarterdeck.notify.service import PAGE_SIZE, Toasts

blueprint = Blueprint("notify", __name__, template_folder="templates")


@blueprint.get("/toasts")
@web.allow("toast.read")
def toast_list() -> str:
    """Show the drawer; what stands in it counts as read from now on."""
    level = request.args.get("level", "")
    level = level if level in list(ToastLevel) else ""
    toasts = _toasts().recent(web.actor(), level=level, before=request.args.get("before", "")[:26])
    _toasts().mark_read(web.actor(), [toast.id for toast in toasts if toast.is_unread])
    g.waiting_toasts = []  # the drawer itself is enough on this page
    template = "notify/_toasts.html" if "HX-Request" in request.headers else "notify/toasts.html"
    older = f"/toasts?level={level}&before={toasts[-1].id}" if len(toasts) == PAGE_SIZE else ""
    return render_template(template, toasts=toasts, level=level, levels=list(ToastLevel), older=older)


@blueprint.post("/toasts/<toast_id>/close")
@web.allow("toast.read")
def toast_close(toast_id: str) -> Any:  # Any: werkzeug's own response of a redirect
    _toasts().close(web.actor(), toast_id)
    return redirect(web.safe_path(request.form.get("next"), "/toasts"), 303)


@blueprint.post("/toasts/<toast_id>/shown")
@web.allow("toast.read")
def toast_shown(toast_id: str) -> Any:
    """Note that a pushed toast stood on the page, so that the next page does not show it again."""
    waiting = _toasts().waiting(web.actor())
    _toasts().mark_shown(web.actor(), [toast.id for toast in waiting if toast.id == toast_id])
    return "", 204


@blueprint.post("/toasts/close-all")
@web.allow("toast.read")
def toast_close_all() -> Any:
    _toasts().close_all(web.actor())
    return redirect("/toasts", 303)


def waiting_toasts() -> list[Toast]:
    """Return what the page being made should show, which then counts as shown; for ``Pages``."""
    if web.actor().kind is not ActorKind.PERSON:
        return []
    if "waiting_toasts" not in g:
        g.waiting_toasts = _toasts().waiting(web.actor())
        _toasts().mark_shown(web.actor(), [toast.id for toast in g.waiting_toasts])
    waiting: list[Toast] = g.waiting_toasts
    return waiting


def toast_count() -> int:
    """Return what the bell says; for ``Pages``."""
    return _toasts().unread_count(web.actor())


def _toasts() -> Toasts:
    return web.part(Toasts)
