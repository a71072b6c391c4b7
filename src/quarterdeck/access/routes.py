"""Signing in and out, and the page of one's own account."""

from typing import Any, Final

from flask import Blueprint, Response, make_response, redirect, render_template, request

from quarterdeck.access import people, profile_routes
from quarterdeck.access.agents import device_of
from quarterdeck.access.cookies import base_url, signed_in, signed_out
from quarterdeck.access.forms import ChangePasswordForm, NewPasswordForm, SetUpForm, SignInForm, TokenForm
from quarterdeck.access.links import LinkPurpose
from quarterdeck.access.passwords import MIN_LENGTH
from quarterdeck.access.providers.service import Providers
from quarterdeck.access.scopes import levels_for
from quarterdeck.access.service import Access
from quarterdeck.core import web
from quarterdeck.core.actors import ActorKind
from quarterdeck.core.errors import Forbidden, Invalid, Limited, Unauthenticated
from quarterdeck.core.forms import parse
from quarterdeck.core.ui.guard import FIELD
from quarterdeck.core.ui.pages import Pages

blueprint = Blueprint("access", __name__, template_folder="templates")
blueprint.register_blueprint(people.blueprint)
blueprint.register_blueprint(profile_routes.blueprint)

EXPIRIES: Final = (("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("", "Never"))
SCOPES: Final = {
    "read": "Read: see hosts, runs and the history",
    "run": "Run: and start, cancel and test",
    "write": "Write: and change hosts and API bases",
    "admin": "Admin: everything, people included",
}

Page = str | Response | tuple[str, int]


@blueprint.get("/sign-in")
@web.allow(web.PUBLIC)
def sign_in() -> Page | Any:  # Any: werkzeug's own response of a redirect
    """Show the form, or go on when somebody is signed in already."""
    target = web.safe_path(request.args.get("next"))
    if web.actor().kind is ActorKind.PERSON:
        return redirect(target, 303)
    return _sign_in_page({"next": target})


@blueprint.post("/sign-in")
@web.allow(web.PUBLIC)
def sign_in_submit() -> Page | Any:
    values = fields()
    try:
        form = parse(SignInForm, values)
        cookie = _access().sign_in(form.name.strip(), form.password, **_client())
    except (Unauthenticated, Limited, Forbidden) as error:
        response = make_response(_sign_in_page(values, problem=error.message), error.status)
        if isinstance(error, Limited):
            response.headers["Retry-After"] = str(error.retry_after)
        return response
    _access().sign_out(web.actor())  # another person's session in this browser, if there was one
    return signed_in(cookie, form.next)


@blueprint.post("/sign-out")
@web.allow(web.PUBLIC)
def sign_out() -> Page | Any:
    """Sign out here, and then at the identity provider where it offers that.

    A page leads there: the policy lets no form of ours end at another site, not even by a redirect.
    """
    label, url = web.part(Providers).sign_out(web.actor(), return_to=f"{base_url()}/sign-in")
    if not url:
        return signed_out(redirect("/sign-in", 303))
    response = make_response(render_template("access/signed_out.html", label=label, url=url))
    response.headers["Refresh"] = f"0; url={url}"
    response.headers["Referrer-Policy"] = "no-referrer"
    return signed_out(response)


@blueprint.get("/sign-in/link/<token>")
@web.allow(web.PUBLIC)
def sign_in_link(token: str) -> Page | Any:
    """Ask before the link is used up: a preview of it in a chat must not be the one time."""
    return _link_page(_access().link_purpose(token), {}, {})


@blueprint.post("/sign-in/link/<token>")
@web.allow(web.PUBLIC)
def sign_in_link_submit(token: str) -> Page | Any:
    purpose = _access().link_purpose(token)
    values = fields()
    try:
        cookie = _use_link(token, purpose, values)
    except Invalid as error:
        return _link_page(purpose, values, error.fields, status=422)
    return signed_in(cookie, "/")


@blueprint.get("/account")
@web.allow("person.self")
def account() -> Page:
    return _account_page()


@blueprint.post("/account/password")
@web.allow("person.self")
def account_password() -> Page | Any:
    try:
        form = parse(ChangePasswordForm, fields())
        _access().change_own_password(web.actor(), form.old, form.chosen())
    except Invalid as error:
        return _account_page(errors=error.fields), 422
    return redirect("/account?done=password#password", 303)


@blueprint.post("/account/sessions/<session_id>/end")
@web.allow("person.self")
def account_session_end(session_id: str) -> Page | Any:
    _access().end_session(web.actor(), session_id)
    is_own = session_id == web.actor().credential_id
    return redirect("/sign-in" if is_own else "/account#sessions", 303)


@blueprint.post("/account/sessions/end-others")
@web.allow("person.self")
def account_sessions_end() -> Page | Any:
    own = _access().own_record(web.actor())
    _access().end_all(web.actor(), own.name, keep=web.actor().credential_id)
    return redirect("/account?done=sessions#sessions", 303)


@blueprint.post("/account/tokens")
@web.allow("person.self")
def account_token_create() -> Page | Any:
    """Make a token and show it this once, so there is nothing to redirect to."""
    values = fields()
    own = _access().own_record(web.actor())
    try:
        form = parse(TokenForm, values)
        created = _access().create_token(
            web.actor(),
            own.name,
            form.label,
            form.scope,
            expires_days=form.expires_days,
            host_tags=form.host_tags,
        )
    except Invalid as error:
        return _account_page(values=values, errors=error.fields), 422
    return _account_page(created=created), 201


@blueprint.post("/account/tokens/<token_id>/rotate")
@web.allow("person.self")
def account_token_rotate(token_id: str) -> Page | Any:
    """Show the new secret this once; the old one counts for a day more."""
    return _account_page(created=_access().rotate_token(web.actor(), token_id)), 201


@blueprint.post("/account/clients/<family_id>/end")
@web.allow("person.self")
def account_client_end(family_id: str) -> Page | Any:
    _access().api_sessions.end(web.actor(), family_id)
    return redirect("/account#sessions", 303)


@blueprint.post("/account/tokens/<token_id>/revoke")
@web.allow("person.self")
def account_token_revoke(token_id: str) -> Page | Any:
    _access().revoke_token(web.actor(), token_id)
    return redirect("/account?done=token#tokens", 303)


def fields() -> dict[str, str]:
    """Return the fields of the form that was sent, without the one that only the guard reads."""
    return {name: value for name, value in request.form.items() if name != FIELD}


def _access() -> Access:
    return web.part(Access)


def _client() -> dict[str, str]:
    return {"address": request.remote_addr or "", "user_agent": request.user_agent.string}


def _sign_in_page(values: dict[str, str], problem: str = "") -> str:
    providers = web.part(Providers)
    return render_template(
        "access/sign_in.html",
        values=values,
        problem=problem,
        is_set_up=_access().has_administrator(),
        providers=providers.buttons(),
        has_local_sign_in=providers.has_local_sign_in,
    )


def _use_link(token: str, purpose: LinkPurpose, values: dict[str, str]) -> str:
    if purpose.person is None:
        first = parse(SetUpForm, values)
        return _access().set_up(token, first.name.strip(), first.chosen(), **_client())
    form = parse(NewPasswordForm, values)
    return _access().sign_in_by_link(token, password=form.chosen(), **_client())


def _link_page(
    purpose: LinkPurpose, values: dict[str, str], errors: dict[str, str], status: int = 200
) -> Response:
    template = "access/set_up.html" if purpose.person is None else "access/link.html"
    page = render_template(
        template,
        purpose=purpose,
        values=values,
        errors=errors,
        least=MIN_LENGTH,
        has_local_sign_in=web.part(Providers).has_local_sign_in,
    )
    response = make_response(page, status)
    response.headers["Referrer-Policy"] = "no-referrer"  # the address is a secret
    return response


def _account_page(**more: Any) -> str:  # Any: what one of the forms wants shown beside the rest
    person = _access().own_record(web.actor())
    scopes = levels_for(person.role)
    page: dict[str, Any] = {
        "person": person,
        "sessions": _access().sessions_of(person.id),
        "clients": _access().api_sessions.of_person(person.id),
        "tokens": _access().tokens_of(person.id),
        "device_of": device_of,
        "scopes": [(level.value, SCOPES[level]) for level in scopes],
        "expiries": EXPIRIES,
        "least": MIN_LENGTH,
        "now": web.part(Pages).clock.now(),
        "done": request.args.get("done", ""),
        "values": {"expires_days": "90", "scope": "read" if scopes else ""},
        "errors": {},
        "created": None,
        "connections": web.part(Providers).connections(person.id),
        "providers": web.part(Providers),
    }
    return render_template("access/account.html", **page | more)
