"""The pages of signing in through a provider, and of connecting one with one's account."""

from typing import Any, Final

from flask import Blueprint, make_response, redirect, render_template, request

from quarterdeck.access.cookies import base_url, client_of_request, is_https, signed_in
from quarterdeck.access.providers.faults import SignInRefused
from quarterdeck.access.providers.flow import LIFETIME
from quarterdeck.access.providers.service import Providers
from quarterdeck.access.providers.shapes import Callback, Start
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.actors import ActorKind
from quarterdeck.core.errors import Limited

blueprint = Blueprint("providers", __name__)

FLOW_COOKIE: Final = "quarterdeck_flow"
_PATH: Final = "/sign-in/with"
_ACCOUNT: Final = "/account#providers"
_EXAMPLE: Final = """\
[identity.company]
label = "Example & Sons"
issuer = "https://id.example.org/realms/main"
client_id = "quarterdeck"
client_secret_file = "/run/secrets/company"
required_group = "deck-users"
role_rules = { administrator = ["admins"], operator = ["ops", "sre"] }"""

Answer = Any  # Any: a page with a status, or werkzeug's own response of a redirect


@blueprint.get("/sign-in/with/<name>")
@web.allow(web.PUBLIC)
def provider_start(name: str) -> Answer:
    """Send the browser to a provider; a link and no form, which the policy would not let go there."""
    target = web.safe_path(request.args.get("next"))
    if web.actor().kind is ActorKind.PERSON:
        return redirect(target, 303)
    try:
        start = _providers().start(name, client_of_request(), base_url=base_url(), next_path=target)
    except (SignInRefused, Limited) as error:
        return _refused(error, name)
    return _begun(redirect(start.url, 303), start)


@blueprint.get("/sign-in/with/<name>/callback")
@web.allow(web.PUBLIC)
def provider_callback(name: str) -> Answer:
    """Take the browser back: with a session, with a connected account, or with a page that says why not."""
    cookie = request.cookies.get(FLOW_COOKIE, "")
    try:
        finish = _providers().finish(name, cookie, _callback(), client_of_request(), web.actor())
    except Limited as error:
        return _refused(error, name)  # with the cookie kept: in a moment the same address may be good
    except SignInRefused as error:
        return _ended(_refused(error, name))
    if not finish.cookie:
        return _ended(redirect(finish.next, 303))
    web.part(Access).sign_out(web.actor())  # another person's session in this browser, if there was one
    return _ended(signed_in(finish.cookie, finish.next))


@blueprint.post("/account/providers/<name>/connect")
@web.allow("person.self")
def provider_connect(name: str) -> Answer:
    """Begin to connect a provider; a page leads on, since the policy lets no form end at another site."""
    try:
        start = _providers().start(
            name, client_of_request(), base_url=base_url(), next_path=_ACCOUNT, actor=web.actor()
        )
    except (SignInRefused, Limited) as error:
        return _refused(error, name)
    page = render_template("access/provider_go.html", label=_providers().label_of(name), url=start.url)
    response = make_response(page)
    response.headers["Refresh"] = f"0; url={start.url}"
    return _begun(response, start)


@blueprint.post("/account/providers/<identity_id>/disconnect")
@web.allow("person.self")
def provider_disconnect(identity_id: str) -> Answer:
    _providers().disconnect(web.actor(), identity_id)
    return redirect("/account?done=disconnected#providers", 303)


@blueprint.get("/access/providers")
@web.allow("person.read")
def provider_list() -> str:
    """Show the providers as the settings make them; nothing is changed here."""
    return render_template(
        "access/providers.html",
        listed=_providers().listing(),
        base_url=base_url(),
        has_local_sign_in=_providers().has_local_sign_in,
        checked=request.args.get("checked", ""),
        example=_EXAMPLE,
    )


@blueprint.post("/access/providers/<name>/check")
@web.allow("person.read")
def provider_check(name: str) -> Answer:
    _providers().check(web.actor(), name)
    return redirect(f"/access/providers?checked={name}#{name}", 303)


def _providers() -> Providers:
    return web.part(Providers)


def _callback() -> Callback:
    names = ("state", "code", "error", "iss")
    state, code, error, issuer = (request.args.get(name) for name in names)
    is_odd = any(len(request.args.getlist(name)) > 1 for name in names)
    return Callback(state, code, error, issuer, is_odd)


def _begun(response: Answer, start: Start) -> Answer:
    response.set_cookie(
        FLOW_COOKIE,
        start.cookie,
        max_age=int(LIFETIME.total_seconds()),
        path=_PATH,
        secure=is_https(),
        httponly=True,
        samesite="Lax",
    )
    return response


def _ended(response: Answer) -> Answer:
    response.delete_cookie(FLOW_COOKIE, path=_PATH, secure=is_https(), httponly=True, samesite="Lax")
    response.headers["Referrer-Policy"] = "no-referrer"  # the address holds a code
    return response


def _refused(error: SignInRefused | Limited, name: str) -> Answer:
    page = render_template(
        "access/provider_refused.html",
        error=error,
        label=_providers().label_of(name),
        is_connecting=web.actor().kind is ActorKind.PERSON,
    )
    response = make_response(page, error.status)
    if isinstance(error, Limited):
        response.headers["Retry-After"] = str(error.retry_after)
    return response
