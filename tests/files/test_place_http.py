"""The client that both Bitbucket adapters stand on, against servers of our own on loopback."""

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import Busy, TooLarge
from quarterdeck.core.loop import Loop
from quarterdeck.files.places.addresses import join, own_link, read_authorities, read_base
from quarterdeck.files.places.allowance import Allowance
from quarterdeck.files.places.answers import Answer, clean
from quarterdeck.files.places.http import MOST_CALLS, Call, Client, Endpoint
from quarterdeck.files.places.multipart import Part, multipart
from quarterdeck.files.places.place import (
    Missing,
    PlaceError,
    Refused,
    Throttled,
    Unanswered,
    Unsupported,
)
from tests.certificates import make_certificate, tls_proxy
from tests.clocks import SetClock
from tests.files.loopback import QUICK, Scripted, scripted

TOKEN = "ATATT3x-secret-token-9f2c"
MAIL = "oskar@example.org"


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


MADE: list[Client] = []


@pytest.fixture(autouse=True)
def closing() -> Iterator[None]:
    """Close what a test has opened."""
    yield
    while MADE:
        MADE.pop().close()


def client_of(server: Scripted, loop: Loop, **more: Any) -> Client:
    clock = more.pop("clock", None) or SetClock()
    endpoint = Endpoint(f"{server.root}/2.0", more.pop("username", MAIL), TOKEN)
    MADE.append(Client(endpoint, loop, clock, **{"timing": QUICK, **more}))
    return MADE[-1]


def get(client: Client, *segments: str, **more: Any) -> Answer:
    return client.call(Call(segments=segments, **more))


def test_an_answer_comes_over_the_nodes_loop_and_its_connection_is_kept(server: Scripted, loop: Loop) -> None:
    server.plan("GET /2.0/user", 200, b'{"name": "Oskar"}', times=2)
    client = client_of(server, loop)
    assert get(client, "user").json_object() == {"name": "Oskar"}
    assert get(client, "user").status == 200
    client.close()


def test_an_answer_comes_without_a_loop_as_on_the_command_line(server: Scripted) -> None:
    client = client_of(server, Loop())
    assert get(client, "a").status == get(client, "b").status == 200
    client.close()


def test_a_client_that_was_closed_opens_itself_again(server: Scripted, loop: Loop) -> None:
    client = client_of(server, loop)
    get(client, "a")
    client.close()
    assert get(client, "b").status == 200


def test_what_is_sent_asks_for_nothing_packed_and_names_us(server: Scripted, loop: Loop) -> None:
    get(client_of(server, loop), "a")
    headers = server.asked[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["accept"] == "application/json"
    assert headers["user-agent"] == "Quarterdeck"


def test_no_cookie_is_kept(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/a", 200, b"{}", headers={"Set-Cookie": "session=theirs; Path=/"})
    client = client_of(server, loop)
    get(client, "a")
    get(client, "b")
    assert "cookie" not in server.asked[1].headers


def test_a_name_and_a_token_go_as_basic_and_a_token_alone_as_bearer(server: Scripted, loop: Loop) -> None:
    get(client_of(server, loop), "a")
    get(client_of(server, loop, username=""), "a")
    assert server.asked[0].headers["authorization"].startswith("Basic ")
    assert server.asked[1].headers["authorization"] == f"Bearer {TOKEN}"


def test_segments_are_encoded_one_by_one(server: Scripted, loop: Loop) -> None:
    get(client_of(server, loop), "a b", "50%", "c#d", "e?f", "g+h", "ü", "a%20b", query=[("q", 'x & "y"+')])
    assert server.lines == [
        "GET /2.0/a%20b/50%25/c%23d/e%3Ff/g%2Bh/%C3%BC/a%2520b?q=x%20%26%20%22y%22%2B",
    ]


@pytest.mark.parametrize("segments", [("..",), ("a", ".", "b"), ("a", "", "b"), ("a\0",)])
def test_segments_that_climb_are_not_asked_for(
    server: Scripted, loop: Loop, segments: tuple[str, ...]
) -> None:
    with pytest.raises(Missing):
        get(client_of(server, loop), *segments)
    assert server.asked == []


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12).filter(lambda part: part not in (".", "..")), min_size=1))
def test_any_segment_stays_one(segments: list[str]) -> None:
    segments = [part.replace("\0", "").encode(errors="replace").decode() or "x" for part in segments]
    segments = [part if part not in (".", "..") else "x" for part in segments]
    made = join("https://api.example.org/2.0", segments)
    path = made.removeprefix("https://api.example.org/2.0/")
    assert path.isascii()
    assert path.count("/") == len(segments) - 1
    assert not set(path) & set('?#+ \\"')


@pytest.mark.parametrize(
    "address",
    [
        "http://bitbucket.example.org",
        "ftp://bitbucket.example.org",
        "https://",
        "https://name:secret@bitbucket.example.org",
        "https://bitbucket.example.org/rest?x=1",
        "https://bitbucket.example.org/#x",
        "https://bitbucket.example.org/a/../b",
        "https://bitbucket.example.org/%2e%2E/b",
        "https://bitbucket.example.org\\@evil.example.net",
        "https://bit bucket.example.org",
        "https://bitbucket.example.org:99999",
        "https://[::1",
        "file:///etc/passwd",
        "",
    ],
)
def test_addresses_that_a_token_must_not_go_to_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"^[A-Z]"):
        read_base(address)


def test_an_address_may_have_a_path_and_on_loopback_no_tls() -> None:
    assert read_base(" https://git.example.org/bitbucket/rest/ ") == "https://git.example.org/bitbucket/rest"
    assert read_base("http://127.0.0.1:7990") == "http://127.0.0.1:7990"


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "tökén", "x" * 5000])
def test_a_token_that_can_be_no_header_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ValueError, match="A token has no") as caught:
        Client(Endpoint("https://api.example.org", MAIL, token), Loop(), SetClock())
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.net/2.0/next",
        "http://127.0.0.1:1/2.0/next",
        "{root}/other/next",
        "{root}/2.0",
        "{root}/2.0/../admin",
        "{root}/2.0/%2e%2e/admin",
        "{root}/2.0%2f..%2fadmin",
        "//evil.example.net/2.0/next",
        "{root}/2.0/a#b",
        "/2.0/next",
        "file:///2.0/next",
        "http://{host}@evil.example.net/2.0/next",
        "http://x@{host}/2.0/next",
        "{root}/2.0/a b",
        "{root}/2.0/ü",
    ],
)
def test_a_link_to_elsewhere_is_not_followed(server: Scripted, loop: Loop, link: str) -> None:
    link = link.format(root=server.root, host=server.root.removeprefix("http://"))
    with pytest.raises(Unanswered, match="not followed"):
        client_of(server, loop).call(Call(link=link))
    assert server.asked == []


def test_a_link_below_the_own_address_is_followed_as_it_is(server: Scripted, loop: Loop) -> None:
    client_of(server, loop).call(Call(link=f"{server.root}/2.0/src/%C3%BC?page=a%2Bb"))
    assert server.lines == ["GET /2.0/src/%C3%BC?page=a%2Bb"]


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_text_at_all_leads_away(text: str) -> None:
    base = "https://api.example.org/2.0"
    for link in (text, f"https://{text}", f"{base}{text}", f"{base}/{text}"):
        found = own_link(base, link)
        assert found is None or found.startswith(f"{base}/")


def test_a_redirect_is_followed_on_the_own_origin_where_it_is_meant_to_be(
    server: Scripted, loop: Loop
) -> None:
    server.plan("/2.0/a$", 302, headers={"Location": f"{server.root}/2.0/b?x=1"})
    server.plan("/2.0/b", 302, headers={"Location": "/2.0/c"})
    server.plan("/2.0/c", 200, b'"here"')
    assert get(client_of(server, loop), "a", follows=True).json() == "here"
    assert all("authorization" in asked.headers for asked in server.asked)


def test_a_redirect_is_not_followed_to_another_host(server: Scripted, loop: Loop) -> None:
    with scripted() as other:
        server.plan("/2.0/a", 302, headers={"Location": f"{other.root}/2.0/a"})
        with pytest.raises(Unanswered, match="another address"):
            get(client_of(server, loop), "a", follows=True)
        assert other.asked == []


def test_a_redirect_is_not_followed_where_none_is_meant_nor_after_a_write(
    server: Scripted, loop: Loop
) -> None:
    server.plan("/2.0/a", 302, headers={"Location": f"{server.root}/2.0/b"}, times=2)
    with pytest.raises(Unanswered):
        get(client_of(server, loop), "a")
    with pytest.raises(Unanswered):
        get(client_of(server, loop), "a", method="POST", json={}, follows=True)
    assert server.lines == ["GET /2.0/a", "POST /2.0/a"]


def test_redirects_in_a_circle_end(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/a", 302, headers={"Location": f"{server.root}/2.0/a"}, times=9)
    with pytest.raises(Unanswered, match="without end"):
        get(client_of(server, loop), "a", follows=True)
    assert len(server.asked) == 4


def test_an_answer_without_end_is_not_read_to_its_end(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/a", kind="endless", times=2)
    client = client_of(server, loop)
    with pytest.raises(TooLarge):
        get(client, "a", most_bytes=200_000)
    with pytest.raises(Unanswered, match="not read to its end"):
        get(client, "a")


def test_a_body_that_says_it_is_too_large_is_not_read_at_all(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/a", 200, b"x" * 2000)
    with pytest.raises(TooLarge):
        get(client_of(server, loop), "a", most_bytes=1000)


def test_a_packed_answer_is_refused(server: Scripted, loop: Loop) -> None:
    bomb = gzip.compress(b"0" * 5_000_000)
    server.plan("/2.0/a", 200, bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(Unanswered, match="packed"):
        get(client_of(server, loop), "a")


@pytest.mark.parametrize("kind", ["hang", "slow"])
def test_an_answer_that_does_not_come_ends_the_call(server: Scripted, loop: Loop, kind: str) -> None:
    server.plan("/2.0/a", kind=kind, times=9)
    timing = replace(QUICK, read=0.15, whole=0.25)
    with pytest.raises(Unanswered, match="No answer from 127"):
        get(client_of(server, loop, timing=timing), "a")
    assert len(server.asked) == 1, "a wait that was long is not doubled"


def test_a_get_is_tried_again_when_the_connection_broke_or_the_server_is_busy(
    server: Scripted, loop: Loop
) -> None:
    server.plan("/2.0/a", 200, b'{"a', kind="cut")
    server.plan("/2.0/a", 503, after=0)
    assert get(client_of(server, loop), "a").status == 200
    assert len(server.asked) == 3


def test_a_get_is_not_tried_for_ever(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/a", 502, times=99)
    with pytest.raises(Unanswered, match="trouble of its own"):
        get(client_of(server, loop), "a")
    assert len(server.asked) == 3


def test_a_get_is_not_tried_again_after_the_time_for_that(server: Scripted, loop: Loop) -> None:
    clock = SetClock()
    server.plan("/2.0/a", 502, times=99)
    server.before.append(("/2.0/a", lambda: clock.forward(15)))
    with pytest.raises(Unanswered):
        get(client_of(server, loop, clock=clock), "a")
    assert len(server.asked) == 1


@pytest.mark.parametrize("how", [{"kind": "lost"}, {"kind": "cut", "status": 201}, {"status": 504}])
def test_a_write_is_never_repeated_blindly(server: Scripted, loop: Loop, how: dict[str, Any]) -> None:
    server.plan("POST /2.0/a", **how)
    with pytest.raises(Unanswered, match="may have been done") as caught:
        get(client_of(server, loop), "a", method="POST", json={}, accepts=frozenset({201}))
    assert caught.value.extra["is_unsure"] is True
    assert len(server.asked) == 1


def test_nothing_listens(loop: Loop) -> None:
    with scripted() as gone:
        client = client_of(gone, loop)
    with pytest.raises(Unanswered, match="refused") as caught:
        get(client, "a", method="POST", json={})
    assert "is_unsure" not in caught.value.extra, "it was surely not sent"


def test_a_short_wait_that_is_asked_for_is_waited_once(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/a", 429, headers={"Retry-After": "0"}, times=2)
    with pytest.raises(Throttled):
        get(client_of(server, loop), "a")
    assert len(server.asked) == 2
    assert get(client_of(server, loop), "a", method="POST", json={}).status == 200


def test_a_long_wait_is_told_and_not_waited(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/a", 429, headers={"Retry-After": "90"})
    client = client_of(server, loop)
    with pytest.raises(Throttled, match="90 s") as caught:
        get(client, "a")
    assert caught.value.retry_after == 90
    assert len(server.asked) == 1


@pytest.mark.parametrize("told", ["", "Fri, 27 Nov 2026 12:00:00 GMT", "-5", "²", "99999999"])
def test_without_a_usable_wait_it_is_thirty_seconds_and_then_more(
    server: Scripted, loop: Loop, told: str
) -> None:
    server.plan("/2.0/a", 429, b"Rate limit exceeded", media_type="text/plain",
                headers={"Retry-After": told} if told else {}, times=3)  # fmt: skip
    client = client_of(server, loop)
    waits = []
    for _ in range(3):
        with pytest.raises(Throttled) as caught:
            get(client, "a")
        waits.append(caught.value.retry_after)
    assert waits == [30, 60, 120]


def test_a_used_up_hour_tells_when_its_oldest_call_falls_out(server: Scripted, loop: Loop) -> None:
    clock = SetClock()
    client = client_of(server, loop, clock=clock, allowance=Allowance(clock, 3))
    server.plan("/2.0/a", 429, after=3)
    for _ in range(3):
        get(client, "a")
        clock.forward(600)
    with pytest.raises(Throttled) as caught:
        get(client, "a")
    assert caught.value.retry_after == 2400, "two of four must be gone"


def test_listings_are_refused_before_they_are_sent_when_the_hour_is_used_up(
    server: Scripted, loop: Loop
) -> None:
    clock = SetClock()
    client = client_of(server, loop, clock=clock, allowance=Allowance(clock, 40))
    for _ in range(38):
        client.allowance.count()
    with pytest.raises(Throttled):
        get(client, "list", is_listing=True)
    assert server.asked == []
    assert get(client, "tip").status == 200, "what is cheap goes on"
    assert client.budget().used == 39
    assert client.budget().is_near_limit
    clock.forward(3600)
    assert get(client, "list", is_listing=True).status == 200
    assert client.budget().used == 1


def test_after_a_429_listings_wait_and_an_answer_ends_that(server: Scripted, loop: Loop) -> None:
    client = client_of(server, loop)
    server.plan("/2.0/a", 429)
    with pytest.raises(Throttled):
        get(client, "a")
    with pytest.raises(Throttled):
        get(client, "list", is_listing=True)
    assert get(client, "tip").status == 200
    assert get(client, "list", is_listing=True).status == 200


def test_headers_correct_the_limit(server: Scripted, loop: Loop) -> None:
    clock = SetClock()
    client = client_of(server, loop, clock=clock, allowance=Allowance(clock, 1000))
    server.plan("/2.0/a", 200, b"{}", headers={"X-RateLimit-Limit": "4000", "X-RateLimit-NearLimit": "true"})
    get(client, "a")
    assert client.budget().limit == 4000
    assert client.budget().is_near_limit
    server.plan("/2.0/a", 200, b"{}", headers={"X-RateLimit-Limit": "many", "X-RateLimit-NearLimit": "false"})
    get(client, "a")
    assert client.budget().limit == 4000
    assert not client.budget().is_near_limit


def test_no_more_than_eight_calls_are_under_way(server: Scripted, loop: Loop) -> None:
    under_way, most, lock = 0, 0, threading.Lock()
    is_full = threading.Event()

    def enter() -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            if under_way == MOST_CALLS:
                is_full.set()
        is_full.wait(5)
        with lock:
            under_way -= 1

    server.before += [("/2.0/", enter)] * 20
    client = client_of(server, loop)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: get(client, str(number)).status, range(20)))
    assert answers == [200] * 20
    assert most <= MOST_CALLS


def test_who_waits_too_long_for_a_call_to_end_is_told(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/held", kind="hang", times=MOST_CALLS)
    client = client_of(server, loop, timing=replace(QUICK, queue=0.05))
    is_full = threading.Semaphore(0)
    server.before += [("/2.0/held", is_full.release)] * MOST_CALLS
    with ThreadPoolExecutor(MOST_CALLS) as pool:
        held = [pool.submit(get, client, "held") for _ in range(MOST_CALLS)]
        for _ in range(MOST_CALLS):
            assert is_full.acquire(timeout=5)
        with pytest.raises(Busy, match="8 calls"):
            get(client, "a")
        server.released.set()
        assert [each.result().status for each in held] == [200] * MOST_CALLS, "each is tried again"


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, Refused, "does not accept the token"),
        (403, Refused, "It needs the scope to read"),
        (404, Missing, "The branch “x” is not there"),
        (410, Missing, "The branch “x” is not there"),
        (400, PlaceError, "did not do it"),
        (409, PlaceError, "did not do it"),
        (500, Unanswered, "trouble of its own"),
        (555, Unanswered, "trouble of its own"),
        (301, Unanswered, "not followed"),
        (204, PlaceError, "did not do it"),
    ],
)
def test_each_status_has_its_error(
    server: Scripted, loop: Loop, status: int, error: type[PlaceError], words: str
) -> None:
    server.plan("/2.0/a", status)
    with pytest.raises(PlaceError, match=words) as caught:
        get(client_of(server, loop), "a", needs="the scope to read", what="The branch “x”")
    assert type(caught.value) is error


CLOUD = {"type": "error", "error": {"message": "Nope\x1b[31m \u202ebad\nline", "id": "ab12"}}
DATA_CENTER = {"errors": [{"message": "Nope", "exceptionName": "com.atlassian.x.NoSuchBranchException"}]}


@pytest.mark.parametrize(
    ("body", "media_type", "said"),
    [
        (json.dumps(CLOUD), "application/json", "“Nope [31m bad line”"),
        (json.dumps(DATA_CENTER), "application/json", "“Nope”"),
        ("Slow down.\x00\r\n", "text/plain; charset=utf-8", "“Slow down.”"),
        ("<html><body><h1>Sign in</h1>", "text/html", None),
        ('{"error": 3}', "application/json", None),
        ('{"errors": [4]}', "application/json", None),
        ('{"error": {"message": {}}}', "application/json", None),
        ("[" * 50_000, "application/json", None),
        ('{"error', "application/json", None),
        ("", "", None),
    ],
)
def test_the_places_own_words_are_shown_as_one_clean_line(
    server: Scripted, loop: Loop, body: str, media_type: str, said: str | None
) -> None:
    server.plan("/2.0/a", 400, body.encode(), media_type=media_type)
    with pytest.raises(PlaceError) as caught:
        get(client_of(server, loop), "a")
    words = caught.value.message
    assert words.isprintable()
    assert (said in words) if said else ("It says" not in words)


def test_a_long_error_is_cut(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/a", 400, b"x" * 10_000_000, media_type="text/plain")
    with pytest.raises(PlaceError) as caught:
        get(client_of(server, loop), "a")
    assert len(caught.value.message) < 500


def test_the_marks_of_an_error_go_to_the_log_only(
    server: Scripted, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    server.plan("/2.0/a", 400, json.dumps(CLOUD).encode())
    with caplog.at_level(logging.INFO), pytest.raises(PlaceError) as caught:
        get(client_of(server, loop), "a")
    assert "ab12" in caplog.text
    assert "ab12" not in caught.value.message


@pytest.mark.parametrize(
    "how",
    [
        {"status": 401}, {"status": 403}, {"status": 404}, {"status": 400}, {"status": 500}, {"kind": "cut"},
        {"status": 429}, {"status": 302}, {"kind": "hang"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("username", [MAIL, ""])
def test_the_token_is_never_shown(
    server: Scripted, loop: Loop, caplog: pytest.LogCaptureFixture, how: dict[str, Any], username: str
) -> None:
    get(client_of(server, loop, username=username), "first")
    client = client_of(server, loop, username=username, timing=replace(QUICK, read=0.2))
    credential = server.asked[0].headers["authorization"]
    echoed = {"error": {"message": f"{'y' * 280} bad credential {TOKEN}, {credential}", "id": credential}}
    headers = {"Location": f"https://evil.example.net/?t={TOKEN}"} if how.get("status") == 302 else {}
    server.plan("/2.0/a", body=json.dumps(echoed).encode(), headers=headers, times=9, **how)
    with caplog.at_level(logging.INFO), pytest.raises(PlaceError) as caught:
        get(client, "a", json={"a": 1}, method="POST")
    error = f"{caught.value.message} {caught.value.extra} {caught.getrepr(style='short')}"
    shown = f"{error} {caplog.text} {client!r}"
    for secret in (TOKEN, TOKEN[:12], credential.partition(" ")[2][:16]):
        assert secret not in shown


def test_the_endpoint_shows_no_token() -> None:
    assert TOKEN not in repr(Endpoint("https://api.example.org", MAIL, TOKEN))


def test_html_where_json_should_be_is_explained(server: Scripted, loop: Loop) -> None:
    server.plan("/2.0/a", 200, b"<!doctype html><title>Sign in</title>", media_type="text/html")
    answer = get(client_of(server, loop), "a")
    with pytest.raises(Unanswered, match="a page in HTML"):
        answer.json()


def test_a_proxy_of_the_environment_is_not_used(
    server: Scripted, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.root)
        assert get(client_of(server, loop), "a").status == 200
        assert proxy.asked == []


def test_an_authority_of_ones_own_is_trusted_and_nobody_elses(
    server: Scripted, loop: Loop, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path / "deck.pem")
    port = int(server.root.rpartition(":")[2])
    pem = certificate.path.read_text().partition("-----BEGIN PRIVATE KEY")[0]
    with tls_proxy(port, certificate) as proxy:
        trusting = Client(Endpoint(proxy.url, MAIL, TOKEN, pem), loop, SetClock(), timing=QUICK)
        assert get(trusting, "a").status == 200
        trusting.close()
        strict = Client(Endpoint(proxy.url, MAIL, TOKEN), loop, SetClock(), timing=QUICK)
        with pytest.raises(Unanswered, match="certificate is not trusted"):
            get(strict, "a")
        assert strict.budget().used == 1, "that is not tried again"
    assert len(server.asked) == 1


@pytest.mark.parametrize("pem", ["hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_refused(pem: str) -> None:
    with pytest.raises(ValueError, match="Paste certificates"):
        read_authorities(pem)


def test_a_form_keeps_order_bytes_and_names() -> None:
    body = multipart(
        [
            Part("message", "Grüße".encode()),
            Part("/bin/ä +%.sh", b"\x00\r\n--x\r\n", filename="ä +%.sh", attributes="executable"),
        ]
    )[1]
    head = 'name="/bin/ä +%.sh"; filename="ä +%.sh"; x-attributes="executable"\r\n'.encode()
    assert head in body
    assert b"\r\n\r\n\x00\r\n--x\r\n\r\n--" in body
    assert body.index("Grüße".encode()) < body.index(head)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\r\nX-Evil: 1", "a\0b"])
def test_a_name_that_servers_read_differently_is_not_sent(server: Scripted, loop: Loop, name: str) -> None:
    with pytest.raises(Unsupported):
        get(client_of(server, loop), "a", method="POST", parts=[Part(f"/{name}", b"x", filename=name)])
    assert server.asked == []


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=2000))
def test_clean_words_are_one_bounded_line(text: str) -> None:
    words = clean(text, 80)
    assert len(words) <= 80
    assert words.isprintable()
