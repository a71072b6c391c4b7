"""What a master serves: QUARTERDECK_SURFACES."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from quarterdeck.core.actors import SYSTEM, Role
from quarterdeck.core.config import SettingsError, Surface, environment_of, load_settings
from quarterdeck.core.dispatch import Dispatcher
from quarterdeck.core.live.service import CONSOLE
from quarterdeck.core.loop import Loop
from quarterdeck.core.metrics import Metrics
from quarterdeck.core.web import provide
from quarterdeck.hosts.bootstrap import ensure_own_hosts
from quarterdeck.master import create_app
from quarterdeck.master_parts import MasterParts
from quarterdeck.metrics.dashboard.board import NAMESPACE
from tests.access.factories import PASSWORD, csrf_of
from tests.cheap_parts import CheapParts
from tests.core.live_server import raw_socket
from tests.core.server import serving

Serve = Callable[..., tuple[MasterParts, FlaskClient]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    made: list[MasterParts] = []

    def start(surfaces: str, **more: str) -> tuple[MasterParts, FlaskClient]:
        environment = {"QUARTERDECK_HOME": str(tmp_path), "QUARTERDECK_SURFACES": surfaces, **more}
        parts = CheapParts(load_settings(environment))
        made.append(parts)
        ensure_own_hosts(parts.hosts, parts.settings)
        parts.access.add_person(SYSTEM, "vera", role=Role.VIEWER, password=PASSWORD)
        app = create_app(parts)
        provide(app, Metrics())
        return parts, app.test_client()

    yield start
    for parts in made:
        parts.close()


def sign_in(client: FlaskClient) -> None:
    values = {"name": "vera", "password": PASSWORD, "csrf_token": csrf_of(client, "/sign-in")}
    assert client.post("/sign-in", data=values).status_code == 303


def test_all_are_served_when_nothing_is_said(tmp_path: Path) -> None:
    settings = load_settings({"QUARTERDECK_HOME": str(tmp_path)})
    assert settings.surfaces == tuple(Surface)
    assert "QUARTERDECK_SURFACES" not in environment_of(settings)


def test_several_are_chosen_and_handed_on_to_what_is_started(tmp_path: Path) -> None:
    settings = load_settings(
        {"QUARTERDECK_HOME": str(tmp_path), "QUARTERDECK_SURFACES": "LIVE, console,live"}
    )
    assert settings.surfaces == (Surface.CONSOLE, Surface.LIVE)
    assert environment_of(settings)["QUARTERDECK_SURFACES"] == "console,live"


@pytest.mark.parametrize("text", ["desk", "console,desk", ",", "console;live"])
def test_an_unknown_one_stops_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="at least one of console, pipelines, status, notebooks, live"):
        load_settings({"QUARTERDECK_HOME": str(tmp_path), "QUARTERDECK_SURFACES": text})


def test_without_live_there_is_no_such_page(serve: Serve) -> None:
    parts, client = serve("console")
    sign_in(client)
    assert client.get("/live").status_code == 404
    front = client.get("/")
    assert front.status_code == 200
    assert 'href="/live"' not in front.text
    assert NAMESPACE not in parts.live.server.handlers


def test_with_live_alone_one_signs_in_and_sees_it(serve: Serve) -> None:
    parts, client = serve("live")
    assert client.get("/").headers["Location"] == "/live"
    assert client.get("/live").headers["Location"] == "/sign-in?next=/live"
    sign_in(client)
    page = client.get("/live")
    assert page.status_code == 200
    assert client.get("/account").status_code == 200
    assert client.get("/metrics").status_code == 200
    assert set(parts.live.server.handlers) == {NAMESPACE}
    for link in ('href="/hosts', 'href="/runs', 'action="/search"', 'href="/toasts"', 'href="/api/docs"'):
        assert link not in page.text
    for path in ("/hosts", "/runs", "/history", "/api/v1/hosts", "/api/openapi.json", "/toasts", "/search"):
        assert client.get(path).status_code == 404


def test_links_of_a_page_without_the_console_lead_somewhere(serve: Serve) -> None:
    _, client = serve("live")
    sign_in(client)
    for path in ("/live", "/account"):
        for link in {part.split('"')[0] for part in client.get(path).text.split('href="/')[1:]}:
            assert client.get(f"/{link}").status_code in (200, 303), link


def test_workers_are_heard_whatever_is_served(serve: Serve) -> None:
    _, client = serve("live")
    assert client.post("/tasks/result").status_code == 401


def test_one_that_does_not_exist_yet_adds_nothing(serve: Serve) -> None:
    parts, client = serve("status")
    assert client.get("/").headers["Location"] == "/account"
    assert client.get("/live").status_code == 404
    assert parts.live.server.handlers == {}


async def test_the_console_s_sockets_are_refused_without_it(serve: Serve) -> None:
    parts, _ = serve("live")
    token = parts.access.create_token(SYSTEM, "vera", "t", "read").secret
    live = parts.live
    dispatcher = Dispatcher(_nothing, loop=Loop(), sockets=live, startup=[live.start], stopping=[live.stop])
    async with serving(dispatcher) as port, raw_socket(port, token) as vera:
        for name, answer in ((CONSOLE, "44"), (NAMESPACE, "40")):
            await vera.send(f"40{name},")
            assert str(await vera.recv()).startswith(f"{answer}{name},")
        greeting = json.loads(str(await vera.recv()).removeprefix(f"42{NAMESPACE},"))
        assert greeting == ["my_response", {"data": "Connected", "count": 0}]
        await dispatcher.stop()


def test_the_live_page_is_open_to_anybody_where_the_settings_say_so(serve: Serve) -> None:
    _, client = serve("live", QUARTERDECK_LIVE_PUBLIC="true")
    page = client.get("/live")
    assert page.status_code == 200
    assert "Sign in" in page.text
    assert client.get("/metrics").status_code == 303


async def _nothing(_scope: object, _receive: object, _send: object) -> None:
    raise AssertionError("no request is meant for the web application")
