"""What each call to a Bitbucket Data Center says when it fails."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck.core.errors import TooLarge
from quarterdeck.files.places.datacenter import DataCenterPlace
from quarterdeck.files.places.place import Missing, PlaceError, Refused, Throttled, Unanswered
from tests.files.datacenter.factories import ADA, IMPATIENT, Open, propose, written
from tests.files.datacenter.server import DataCenter
from tests.files.loopback import QUICK

CALLS: dict[str, Callable[[DataCenterPlace], object]] = {
    "default-branch": lambda place: place.default_branch(),
    "branches": lambda place: place.refs(),
    "commits": lambda place: place.tip("main"),
    "files": lambda place: place.list_files("f" * 40),
    "browse": lambda place: place.stat("f" * 40, "README.md"),
    "raw": lambda place: place.read("f" * 40, "README.md", most_bytes=10_000),
    "POST .*branches": lambda place: place.create_branch("x", "f" * 40),
    "DELETE .*branches": lambda place: place.delete_branch("main"),
    "PUT": lambda place: place.commit("x", "f" * 40, [written("README.md", b"2")], "m", ADA),
    "POST .*pull-requests": lambda place: place.open_proposal(propose(place, "x")),
    "pull-requests/1": lambda place: place.proposal("1"),
}
DENIED = (
    b'{"errors":[{"context":null,"message":"No oskars-token","exceptionName":"x.AuthorisationException"}]}'
)
FAILURES: list[tuple[dict[str, Any], type[PlaceError]]] = [
    ({"status": 401}, Refused),
    ({"status": 401, "body": DENIED}, Refused),
    ({"status": 403, "body": DENIED}, Refused),
    ({"status": 429}, Throttled),
    ({"status": 429, "headers": {"Retry-After": "60"}}, Throttled),
    ({"status": 500, "body": DENIED}, Unanswered),
    ({"status": 503}, Unanswered),
    ({"status": 302, "headers": {"Location": "https://sso.example.org/login"}}, Unanswered),
    ({"kind": "cut", "body": b'{"values": ['}, Unanswered),
    ({"kind": "hang"}, Unanswered),
]


@pytest.mark.parametrize("fits", CALLS)
def test_each_failure_of_the_server_is_told_and_never_with_the_token(
    opened: Open, server: DataCenter, caplog: pytest.LogCaptureFixture, fits: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for how, error in FAILURES:
        server.planned.clear()
        server.plan(fits, times=5, **how)
        place = opened(timing=IMPATIENT if how.get("kind") == "hang" else QUICK)
        with pytest.raises(PlaceError) as caught:
            CALLS[fits](place)
        assert isinstance(caught.value, error), (how, caught.value)
        assert "oskars-token" not in f"{caught.value!r} {caught.value.extra} {caplog.text} {place!r}"


@pytest.mark.parametrize(
    "fits", ["default-branch", "branches", "commits", "files", "browse", "pull-requests/1"]
)
def test_answers_of_an_unknown_form_are_told(server: DataCenter, place: DataCenterPlace, fits: str) -> None:
    for body in (b"<html>", b"[]", b'{"values": 7}', b"[" * 5000, b""):
        server.planned.clear()
        server.plan(fits, times=5, status=200, body=body)
        with pytest.raises(PlaceError) as caught:
            CALLS[fits](place)
        assert isinstance(caught.value, Unanswered | Missing), (body, caught.value)


def test_a_huge_answer_is_not_read_to_its_end(server: DataCenter, place: DataCenterPlace) -> None:
    tip = place.tip("main")
    server.plan("raw", kind="endless")
    with pytest.raises(TooLarge):
        place.read(tip, "README.md", most_bytes=1000)
    server.plan("default-branch", kind="endless")
    with pytest.raises(PlaceError):
        place.default_branch()


def test_a_short_wait_that_the_server_asks_for_is_waited_out(
    server: DataCenter, place: DataCenterPlace
) -> None:
    server.plan("default-branch", status=429, headers={"Retry-After": "0"})
    assert place.default_branch() == "main"
