"""Sessions over the wire: what another site, a guesser or an ended session can still do, which is nothing."""

import concurrent.futures
from collections.abc import Iterator
from typing import Any

import pytest
import socketio  # type: ignore[import-untyped]  # it ships no types
from socketio.exceptions import ConnectionError as SocketRefused  # type: ignore[import-untyped]

from tests.deck import PASSWORD, Deck, wait_until
from tests.end_to_end.visitor import SESSION, Visitor, add_person, signed_in

FOREIGN = "https://evil.example"
CONSOLE = "/console"
OTHER_PASSWORD = "another long password"


@pytest.fixture
def ada(deck: Deck) -> Iterator[Visitor]:
    with signed_in(deck, "ada") as visitor:
        yield visitor


class Socket:
    """An open Socket.IO connection of a visitor."""

    def __init__(self, visitor: Visitor, *, origin: str = "", cookie: str | None = None) -> None:
        own_origin = {"suppress_origin": True}  # the library's own would stand beside ours
        self.client = socketio.Client(reconnection=False, websocket_extra_options=own_origin)
        cookie = visitor.cookie if cookie is None else cookie
        headers = {"Origin": origin or visitor.deck.url, "Cookie": f"{SESSION}={cookie}"}
        try:
            self.client.connect(
                visitor.deck.url, headers, namespaces=[CONSOLE], transports=["websocket"], wait_timeout=5
            )
        except SocketRefused:
            self.close()
            raise

    def join(self, room: str) -> bool:
        answer: dict[str, Any] = self.client.call("room:join", {"room": room}, namespace=CONSOLE)
        return bool(answer["ok"])

    def is_open(self) -> bool:
        return CONSOLE in self.client.namespaces

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go; the library leaves the connection open when it was the server that ended it."""
        self.client.disconnect()
        if self.client.eio.ws is not None:
            self.client.eio.ws.close()


def test_a_change_needs_the_token_of_its_own_session(deck: Deck, ada: Visitor) -> None:
    form = {"name": "forged", "url": "https://forged.example.org"}
    with signed_in(deck, "oskar") as oskar:
        foreign = oskar.token()
    for token in ("", "0" * 64, foreign, ada.token()[:-1] + "g"):
        refused = ada.http.post("/bases", data=form | {"csrf_token": token}, headers={"Origin": deck.url})
        assert refused.status_code == 403, token
    assert ada.http.post("/bases", data=form).status_code == 403
    assert deck.api("GET", "/api/v1/bases/forged").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "{url}.evil.example"},
        {"Origin": "{url}0"},
        {"Origin": "HTTP{rest}"},
    ],
    ids=str,
)
def test_a_change_from_another_site_is_refused_with_a_good_token(
    deck: Deck, ada: Visitor, headers: dict[str, str]
) -> None:
    sent = {k: v.format(url=deck.url, rest=deck.url.removeprefix("http")) for k, v in headers.items()}
    form = {"name": "forged", "url": "https://forged.example.org", "csrf_token": ada.token()}
    assert ada.http.post("/bases", data=form, headers=sent).status_code == 403
    assert deck.api("GET", "/api/v1/bases/forged").status_code == 404


def test_a_json_call_with_a_cookie_needs_the_token_too(deck: Deck, ada: Visitor) -> None:
    body = {"name": "forged", "url": "https://forged.example.org"}
    assert ada.http.post("/api/v1/bases", json=body, headers={"Origin": deck.url}).status_code == 403
    assert ada.http.delete("/api/v1/hosts/web1").status_code == 403
    with_token = {"Origin": deck.url, "X-CSRF-Token": ada.token()}
    assert ada.http.post("/api/v1/bases", json={}, headers=with_token).status_code == 422


def test_a_cookie_counts_for_nothing_beside_a_bearer(deck: Deck, ada: Visitor) -> None:
    for bearer in ("Bearer wrong", "Basic YWRhOnB3", "Bearer", "wrong"):
        answer = ada.get("/api/v1/me", headers={"Authorization": bearer})
        assert answer.status_code == 401, bearer
    narrow = deck.api("POST", "/api/v1/tokens", json={"label": "narrow", "scope": "read"}).json()
    headers = {"Authorization": f"Bearer {narrow['token']}", "Origin": deck.url}
    body = {"name": "forged", "url": "https://forged.example.org"}
    assert ada.http.post("/api/v1/bases", json=body, headers=headers).status_code == 403
    assert deck.api("DELETE", f"/api/v1/tokens/{narrow['id']}").status_code == 204


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/%0d%0aX: 1",
        "\n//evil.example",
        "///evil.example",
        "/..//evil.example",
        "http:/\\evil.example",
    ],
)
def test_signing_in_never_leads_to_another_site(deck: Deck, target: str) -> None:
    with Visitor(deck, "127.0.0.11") as visitor:
        answer = visitor.sign_in("vera", target=target)
        again = visitor.get("/sign-in", params={"next": target})
    for place in (answer, again):
        location = place.headers["Location"]
        assert place.status_code == 303
        assert location.startswith("/"), location
        assert not location.startswith(("//", "/\\")), location
        assert "X" not in place.headers


def test_signing_in_leads_to_the_page_that_was_asked_for(deck: Deck) -> None:
    with Visitor(deck, "127.0.0.11") as visitor:
        asked = visitor.get("/hosts?tag=web")
        assert asked.headers["Location"] == "/sign-in?next=/hosts%3Ftag%3Dweb"
        assert visitor.sign_in("vera", target="/hosts?tag=web").headers["Location"] == "/hosts?tag=web"


def test_the_cookie_is_for_this_site_and_for_no_script(deck: Deck) -> None:
    with Visitor(deck, "127.0.0.11") as visitor:
        cookie = visitor.sign_in("vera").headers["Set-Cookie"]
    assert cookie.startswith(f"{SESSION}=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_each_sign_in_gets_a_new_cookie_whatever_was_sent(deck: Deck) -> None:
    with Visitor(deck, "127.0.0.11") as visitor:
        visitor.http.cookies.set(SESSION, "chosen-by-somebody-else", domain="127.0.0.1")
        token = visitor.get("/sign-in").text.split('name="csrf_token" value="')[1].split('"')[0]
        form = {"name": "vera", "password": PASSWORD, "csrf_token": token}
        answer = visitor.http.post("/sign-in", data=form, headers={"Origin": deck.url})
    assert answer.status_code == 303
    assert "chosen-by-somebody-else" not in answer.headers["Set-Cookie"]


def test_signing_out_ends_the_cookie_and_the_open_socket(deck: Deck) -> None:
    with signed_in(deck, "vera") as vera, Socket(vera) as open_socket:
        cookie = vera.cookie
        assert vera.submit("/sign-out").status_code == 303
        wait_until(lambda: not open_socket.is_open(), "the socket to be ended", 5)
        assert is_dead(deck, cookie)


@pytest.mark.parametrize(
    "change", [{"role": "operator"}, {"is_disabled": True}, {"password": OTHER_PASSWORD}], ids=str
)
def test_a_change_of_the_person_ends_cookie_token_and_socket(deck: Deck, change: dict[str, Any]) -> None:
    name = f"person-{next(iter(change)).replace('_', '-')}"
    add_person(deck, name, "viewer")
    wanted = {"label": "own", "scope": "read", "person": name}
    token = deck.api("POST", "/api/v1/tokens", json=wanted).json()["token"]
    with signed_in(deck, name) as visitor, Socket(visitor) as open_socket:
        assert open_socket.join("hosts")
        assert deck.api("PATCH", f"/api/v1/people/{name}", json=change).status_code == 200
        wait_until(lambda: not open_socket.is_open(), "the socket to be ended", 5)
        assert is_dead(deck, visitor.cookie)
        own = {"Authorization": f"Bearer {token}"}
        assert deck.api("GET", "/api/v1/me", headers=own).status_code == 401
        with pytest.raises(SocketRefused):
            Socket(visitor)


def test_a_change_by_the_command_line_ends_the_session_within_seconds(deck: Deck) -> None:
    add_person(deck, "cleo", "viewer")
    with signed_in(deck, "cleo") as cleo, Socket(cleo) as open_socket:
        deck.cli("person", "disable", "cleo")
        wait_until(lambda: is_dead(deck, cleo.cookie), "the cookie to be dead", 5)
        wait_until(lambda: not open_socket.is_open(), "the socket to be ended", 5)


def test_ones_own_new_password_keeps_this_session_and_ends_the_others(deck: Deck) -> None:
    add_person(deck, "pia", "viewer")
    with signed_in(deck, "pia") as here, signed_in(deck, "pia") as there:
        form = {"old": PASSWORD, "password": OTHER_PASSWORD, "again": OTHER_PASSWORD}
        assert here.submit("/account/password", form).status_code == 303
        assert is_dead(deck, there.cookie)
        with Visitor(deck) as visitor:
            assert visitor.sign_in("pia", PASSWORD).status_code == 401


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://127.0.0.1", "http://localhost:1"])
def test_a_socket_from_another_site_is_refused_with_a_good_cookie(ada: Visitor, origin: str) -> None:
    with pytest.raises(SocketRefused):
        Socket(ada, origin=origin)


def test_a_socket_of_nobody_is_refused(ada: Visitor) -> None:
    for cookie in ("", "made-up"):
        with pytest.raises(SocketRefused):
            Socket(ada, cookie=cookie)


def test_a_room_is_joined_only_with_the_right_to_read_it(deck: Deck, ada: Visitor) -> None:
    run = deck.run(task={"kind": "command", "command": "echo room"}, hosts=["master"])["id"]
    with Socket(ada) as socket_:
        assert socket_.join("hosts")
        assert socket_.join(f"run:{run}")
        assert not any(map(socket_.join, ("nowhere", "person:someone", "role:administrator", "all")))
    with signed_in(deck, "nils") as nils, Socket(nils) as socket_:
        assert not any(map(socket_.join, ("hosts", f"run:{run}", "runs", "role:viewer")))


def test_guessing_locks_the_account_and_limits_the_address_and_nobody_else(deck: Deck) -> None:
    add_person(deck, "lena", "viewer")
    with Visitor(deck, "127.0.0.66") as guesser:
        token = guesser.token()

        def guess(number: int) -> Any:  # Any: an answer
            form = {"csrf_token": token, "name": "lena", "password": f"guess {number}"}
            return guesser.http.post("/sign-in", data=form, headers={"Origin": deck.url})

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(guess, range(40)))
    limited = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in limited)
    with Visitor(deck, "127.0.0.77") as other:
        assert other.sign_in("lena").status_code == 401  # locked, even with the right password
        assert other.sign_in("vera").status_code == 303
    assert deck.api("GET", "/api/v1/people/lena").json()["locked_until"]
    entries = deck.api("GET", "/api/v1/history?q=127.0.0.66&limit=200").json()["entries"]
    assert {"login.refused", "login.limited"} <= {entry["action"] for entry in entries}
    assert len([entry for entry in entries if entry["action"] == "login.limited"]) < len(limited)


def test_a_one_time_link_works_once_also_for_two_at_the_same_moment(deck: Deck) -> None:
    made = deck.api("POST", "/api/v1/people", json={"name": "twice", "role": "viewer"}).json()
    visitors = [Visitor(deck, f"127.0.0.{last}") for last in (21, 22)]
    forms = [{"csrf_token": visitor.token(), "password": PASSWORD, "again": PASSWORD} for visitor in visitors]

    def use(number: int) -> int:
        answer = visitors[number].http.post(
            made["sign_in_path"], data=forms[number], headers={"Origin": deck.url}
        )
        return answer.status_code

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(use, range(2))) == [303, 404]
    assert visitors[0].get(made["sign_in_path"]).status_code == 404
    assert sum(bool(visitor.cookie) for visitor in visitors) == 1
    for visitor in visitors:
        visitor.http.close()


def test_a_link_cannot_be_used_after_the_person_is_disabled(deck: Deck) -> None:
    made = deck.api("POST", "/api/v1/people", json={"name": "gone", "role": "viewer"}).json()
    assert deck.api("PATCH", "/api/v1/people/gone", json={"is_disabled": True}).status_code == 200
    with Visitor(deck) as visitor:
        form = {"password": PASSWORD, "again": PASSWORD}
        assert visitor.submit(made["sign_in_path"], form).status_code == 404


def is_dead(deck: Deck, cookie: str) -> bool:
    with Visitor(deck) as visitor:
        visitor.http.cookies.set(SESSION, cookie, domain="127.0.0.1")
        return visitor.get("/account").status_code == 303
