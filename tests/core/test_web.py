"""The edge: deny by default, one shape of errors, and redirects that stay on this site."""

from typing import Any

import pytest
from flask import Flask, Response, redirect, request

from quarterdeck.core import web
from quarterdeck.core.actors import NOBODY, Actor, ActorKind, Role
from quarterdeck.core.errors import Busy, Conflict, Invalid, Limited, NotFound, Unauthenticated

VERA = Actor(ActorKind.PERSON, "vera", role=Role.VIEWER)


class Site:
    """A small app over the edge, and what the edge recorded."""

    def __init__(self) -> None:
        self.denied: list[tuple[str, str, str]] = []
        self.actor = VERA
        self.app = Flask("site")
        web.install(self.app, web.Edge(self.identify, self.may, self.on_denied, lambda _error, _status: None))
        self.app.add_url_rule("/open", "open", web.allow(web.PUBLIC)(lambda: "open"))
        self.app.add_url_rule("/hosts", "hosts", web.allow("host.read")(lambda: "hosts"))
        self.app.add_url_rule("/admin", "admin", web.allow("person.write")(lambda: "admin"))
        self.app.add_url_rule("/unmarked", "unmarked", lambda: "unmarked")

    def identify(self) -> Actor:
        if self.actor is NOBODY and "bad" in request.headers.get("Authorization", ""):
            raise Unauthenticated("The token is not good.")
        return self.actor

    def may(self, actor: Actor, verb: str, _object: str) -> bool:
        return actor is VERA and verb == "host.read"

    def on_denied(self, actor: Actor, verb: str, object_: str) -> None:
        self.denied.append((actor.label, verb, object_))

    def raising(self, error: Exception) -> None:
        def fail() -> Response:
            raise error

        self.app.add_url_rule("/fail", "fail", web.allow(web.PUBLIC)(fail))

    def get(self, path: str, **more: Any) -> Any:
        return self.app.test_client().get(path, **more)


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_handler_that_is_allowed_answers(site: Site) -> None:
    assert (site.get("/hosts").status_code, site.get("/open").status_code) == (200, 200)


def test_a_handler_without_a_mark_answers_nobody(site: Site) -> None:
    assert site.get("/unmarked").status_code == 404


def test_a_denial_is_recorded_and_told(site: Site) -> None:
    assert site.get("/admin").status_code == 403
    site.actor = NOBODY
    answer = site.get("/hosts")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert site.denied == [("vera", "person.write", "/admin"), ("nobody", "host.read", "/hosts")]


def test_bad_credentials_are_refused_everywhere(site: Site) -> None:
    site.actor = NOBODY
    for path in ("/open", "/hosts", "/nowhere"):
        assert site.get(path, headers={"Authorization": "Bearer bad"}).status_code == 401


@pytest.mark.parametrize(
    ("error", "status", "members"),
    [
        (Invalid({"name": "This is needed."}), 422, {"errors": {"name": "This is needed."}}),
        (NotFound("There is no such host."), 404, {"detail": "There is no such host."}),
        (Conflict("It runs already.", duplicate_of="01run"), 409, {"duplicate_of": "01run"}),
        (Limited("Too many.", retry_after=7), 429, {"title": "Too many requests", "retry_after": 7}),
        (Busy("/history can't be written."), 503, {"detail": "/history can't be written."}),
        (RuntimeError("marker-secret"), 500, {"title": "Something went wrong"}),
    ],
)
def test_an_error_is_a_problem_document(
    site: Site, error: Exception, status: int, members: dict[str, object]
) -> None:
    site.raising(error)
    answer = site.get("/fail")
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    problem = answer.get_json(force=True)
    assert problem.items() >= ({"type": "about:blank", "status": status} | members).items()
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert "marker" not in answer.text
    assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)


@pytest.mark.parametrize(("path", "method", "status"), [("/nowhere", "GET", 404), ("/hosts", "POST", 405)])
def test_flasks_own_errors_have_the_same_shape(site: Site, path: str, method: str, status: int) -> None:
    answer = site.app.test_client().open(path, method=method)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.get_json(force=True)["status"] == status


SAFE = ["/", "/hosts", "/hosts?tag=a&q=b#c", "/a//b", "/%2f%2fevil.test", "/hosts/é"]
UNSAFE = [
    None,
    "",
    "hosts",
    "//evil.test",
    "///evil.test",
    "/\\evil.test",
    "\\\\evil.test",
    "/hosts\\..",
    "https://evil.test",
    "https:evil.test",
    "https:/evil.test",
    "HTTPS://evil.test",
    "javascript:alert(1)",
    "data:text/html,x",
    " //evil.test",
    "/\t/evil.test",
    "/\n/evil.test",
    "/hosts\r\nSet-Cookie: a=b",
    "/\x00",
    "/hosts\x7f",
    "\u2028//evil.test",
]


@pytest.mark.parametrize("target", SAFE)
def test_a_path_of_this_site_is_kept(target: str) -> None:
    assert web.safe_path(target) == target


@pytest.mark.parametrize("target", UNSAFE)
def test_anything_else_leads_home(target: str | None) -> None:
    assert web.safe_path(target) == "/"
    assert web.safe_path(target, "/hosts") == "/hosts"


def test_a_redirect_to_a_safe_path_stays_here(site: Site) -> None:
    site.app.add_url_rule(
        "/go", "go", web.allow(web.PUBLIC)(lambda: redirect(web.safe_path(request.args["next"])))
    )
    for target in ("//evil.test", "/%09/evil.test", "/%5Cevil.test"):
        assert site.get(f"/go?next={target}").headers["Location"] == "/"


@pytest.mark.parametrize(
    ("path", "headers", "wanted"),
    [
        ("/api/v1/hosts", {}, True),
        ("/hosts", {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, False),
        ("/hosts", {"Accept": "application/json"}, True),
        ("/hosts", {"Authorization": "Bearer x"}, True),
        ("/hosts", {}, False),
    ],
)
def test_programs_get_json(site: Site, path: str, headers: dict[str, str], wanted: bool) -> None:
    with site.app.test_request_context(path, headers=headers):
        assert web.wants_json() is wanted


@pytest.mark.parametrize(
    ("kind", "headers", "wanted"),
    [
        ("application/json", {}, True),
        ("", {}, True),
        ("application/x-www-form-urlencoded", {}, False),
        ("multipart/form-data", {}, False),
        ("application/json", {"Accept": "text/html"}, False),
    ],
)
def test_who_sends_no_form_gets_json(site: Site, kind: str, headers: dict[str, str], wanted: bool) -> None:
    with site.app.test_request_context("/shutdown", method="POST", headers=headers, content_type=kind):
        assert web.wants_json() is wanted


def test_parts_are_handed_on_by_their_type(site: Site) -> None:
    class Journal:
        pass

    journal = Journal()
    web.provide(site.app, journal)
    with site.app.app_context():
        assert web.part(Journal) is journal
