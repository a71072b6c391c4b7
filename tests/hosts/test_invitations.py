"""Joining by a one-time code: once, in time, by whoever has it, and with a token for each side."""

from collections.abc import Callable
from typing import Any

import pytest

from quarterdeck.core.errors import Conflict, Forbidden, Invalid, Limited, NotFound
from quarterdeck.core.security import new_token
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.invitations import MINUTES, Invited
from quarterdeck.hosts.join_codes import code_digest, new_code
from quarterdeck.hosts.models import HostKind
from quarterdeck.protocol.line import CodeJoin, CodeJoined
from tests.hosts.factories import ADA, Api, Browser, Node, draft

ADDRESS = "192.0.2.9"


def wanted(code: str, **more: Any) -> CodeJoin:  # Any: members of it
    values: dict[str, Any] = {"code": code, "bearer": new_token(), "token": new_token()}
    return CodeJoin(**values | more)


def invite(node: Node, name: str = "far") -> Invited:
    return node.hosts.invitations.invite(ADA, name, ("nat",))


def join(node: Node, request: CodeJoin, address: str = ADDRESS) -> CodeJoined:
    return node.hosts.invitations.join(request, address)


def faults(node: Node) -> list[str]:
    return [event["error"] for event in node.events("host.join_refused")]


def test_worker_joins_by_its_code_and_each_side_has_a_token(node: Node) -> None:
    request = wanted(invite(node).code, node="worker-far", version="0.1.0")
    joined = join(node, request)
    host = node.hosts.get("far")
    assert (host.kind, host.place, host.url, host.joined, host.tags) == (
        HostKind.WORKER,
        "dials in",
        "",
        True,
        ("nat",),
    )
    assert (joined.audience, joined.name) == (host.id, "far")
    assert node.hosts.worker_by_token(request.token) == host
    assert node.hosts.worker_by_token(request.bearer) is None
    assert node.hosts.worker_link(host).bearer == request.bearer
    stored = node.everything_stored()
    assert request.token.encode() not in stored
    assert request.bearer.encode() not in stored
    assert request.code.encode() not in stored


def test_code_may_be_typed_in_any_way(node: Node) -> None:
    code = invite(node).code
    join(node, wanted(f" {code.lower().replace('-', ' ').replace('0', 'o')} "))
    assert node.hosts.get("far")


def test_codes_are_long_and_never_the_same() -> None:
    codes = {new_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert {len(code.replace("-", "")) for code in codes} == {20}
    assert all(code_digest(code) for code in codes)
    assert [code_digest(text) for text in ("", "A" * 19, "Ü" * 20, "A" * 10_000)] == [""] * 4


def test_used_code_lets_nobody_else_in(node: Node) -> None:
    code = invite(node).code
    join(node, wanted(code))
    with pytest.raises(Forbidden, match="not valid"):
        join(node, wanted(code))
    assert faults(node) == ["used code"]


def test_same_worker_is_answered_again_when_the_answer_was_lost(node: Node) -> None:
    request = wanted(invite(node).code)
    first = join(node, request)
    assert join(node, request).audience == first.audience
    assert [record["kind"] for record in node.records("host.join")] == ["intent", "outcome"]


def test_code_is_worth_nothing_after_its_time(node: Node) -> None:
    invited = invite(node)
    node.clock.forward(MINUTES * 60)
    assert node.hosts.invitations.open() == []
    with pytest.raises(Forbidden):
        join(node, wanted(invited.code))
    assert faults(node) == ["expired code"]


def test_code_works_until_the_last_second(node: Node) -> None:
    invited = invite(node)
    node.clock.forward(MINUTES * 60 - 1)
    assert join(node, wanted(invited.code)).name == "far"


def test_revoked_code_is_refused(node: Node) -> None:
    invited = invite(node)
    node.hosts.invitations.revoke(ADA, invited.record.id)
    assert node.hosts.invitations.open() == []
    with pytest.raises(Forbidden):
        join(node, wanted(invited.code))
    assert faults(node) == ["revoked code"]
    with pytest.raises(NotFound):
        node.hosts.invitations.revoke(ADA, invited.record.id)


@pytest.mark.parametrize("code", ["", "0" * 20, "no code at all", "'; drop table hosts; --"])
def test_wrong_code_is_refused_and_on_record(node: Node, code: str) -> None:
    with pytest.raises(Forbidden):
        join(node, wanted(code))
    assert faults(node) == ["unknown code"]
    assert node.hosts.list_hosts() == []


def test_guessing_is_slowed_down_by_address(node: Node) -> None:
    code = invite(node).code
    for _ in range(20):
        with pytest.raises(Forbidden):
            join(node, wanted(new_code()))
    for _ in range(5):
        with pytest.raises(Limited):
            join(node, wanted(code))
    assert faults(node)[-1] == "too many tries from this address"
    assert len(faults(node)) == 21
    assert join(node, wanted(code), "198.51.100.1").name == "far"


@pytest.mark.parametrize(("field", "value"), [("token", "short"), ("bearer", ""), ("token", "ü" * 30)])
def test_tokens_that_can_not_be_right_are_refused(node: Node, field: str, value: str) -> None:
    code = invite(node).code
    with pytest.raises(Invalid) as refusal:
        join(node, wanted(code, **{field: value}))
    assert list(refusal.value.fields) == [field]
    assert join(node, wanted(code)).name == "far"


def test_one_token_for_both_sides_is_refused(node: Node) -> None:
    token = new_token()
    with pytest.raises(Invalid, match="of its own"):
        join(node, wanted(invite(node).code, token=token, bearer=token))


def test_token_of_another_worker_is_refused(node: Node) -> None:
    first = wanted(invite(node).code)
    join(node, first)
    with pytest.raises(Conflict, match="Another worker has this token"):
        join(node, wanted(invite(node, "second").code, token=first.token))


def test_name_in_use_is_refused_at_both_ends_of_the_invitation(node: Node) -> None:
    code = invite(node).code
    node.hosts.register(ADA, draft("far"))
    with pytest.raises(Conflict):
        join(node, wanted(code))
    with pytest.raises(Conflict):
        invite(node, "FAR")


@pytest.mark.parametrize("name", ["", "-x", "a b", "invitations", "x" * 64, "../x"])
def test_bad_names_are_refused(node: Node, name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        invite(node, name)
    assert list(refusal.value.fields) == ["name"]


def test_command_names_the_master_and_the_pin(node: Node) -> None:
    made = node.hosts.invitations.invite(ADA, "far", pin="SHA256:" + ":".join(["AB"] * 32))
    url = node.settings.bind.url
    assert made.command == f"quarterdeck worker --join {made.code} --master {url} --pin SHA256:{'ab' * 32}"
    with pytest.raises(Invalid) as refusal:
        node.hosts.invitations.invite(ADA, "other", pin="SHA256:nothing")
    assert list(refusal.value.fields) == ["pin"]


def test_worker_that_dials_in_takes_no_address_and_no_other_token(node: Node) -> None:
    join(node, wanted(invite(node).code))
    host = node.hosts.get("far")
    for change in (
        HostDraft("far", host.kind, address="w1.example.org"),
        HostDraft("far", host.kind, secrets={"token": new_token()}),
        HostDraft("far", host.kind, forget=frozenset({"token"})),
    ):
        with pytest.raises(Invalid):
            node.hosts.edit_host(ADA, "far", change)


def test_administrator_invites_by_the_api(api_as: Callable[[str], Api], node: Node) -> None:
    made = api_as("ada")("POST", "/hosts/invitations", {"name": "far", "tags": ["nat"]})
    assert made.status_code == 201
    body = made.get_json()
    assert body["command"] == f"quarterdeck worker --join {body['code']} --master {node.settings.bind.url}"
    listed = api_as("ada")("GET", "/hosts/invitations").get_json()["invitations"]
    assert [(each["name"], "code" in each) for each in listed] == [("far", False)]
    assert api_as("ada")("DELETE", f"/hosts/invitations/{body['id']}").status_code == 204
    assert api_as("ada")("DELETE", f"/hosts/invitations/{body['id']}").status_code == 404


@pytest.mark.parametrize(("who", "status"), [("oskar", 403), ("vera", 403), ("nils", 403), ("", 401)])
def test_nobody_else_invites(api_as: Callable[[str], Api], who: str, status: int) -> None:
    assert api_as(who)("POST", "/hosts/invitations", {"name": "far"}).status_code == status
    assert api_as(who)("GET", "/hosts/invitations").status_code == status


@pytest.mark.parametrize(
    "body", [None, [], {}, {"code": 1}, {"code": "x" * 20_000, "bearer": "", "token": ""}]
)
def test_what_is_no_joining_is_refused(api_as: Callable[[str], Api], body: object) -> None:
    assert api_as("")("POST", "/hosts/join", body).status_code == 422


def test_joining_needs_nothing_but_the_code(api_as: Callable[[str], Api], node: Node) -> None:
    request = wanted(invite(node).code)
    body = {"code": request.code, "bearer": request.bearer, "token": request.token}
    assert api_as("")("POST", "/hosts/join", body).get_json()["name"] == "far"
    assert api_as("ada")("GET", "/hosts/far").get_json()["dials_in"] is True


@pytest.mark.parametrize("path", ["/process_task", "/shutdown", "/tasks/x/page", "/history/..", "/history/x"])
def test_only_reads_are_relayed_to_the_command_line(
    api_as: Callable[[str], Api], node: Node, path: str
) -> None:
    join(node, wanted(invite(node).code))
    host = node.hosts.get("far")
    assert api_as("ada")("GET", f"/lines/{host.id}{path}").status_code == 404
    assert api_as("oskar")("GET", f"/lines/{host.id}/health").status_code == 403


def test_page_shows_the_code_once(as_: Callable[[str], Browser], node: Node) -> None:
    made = as_("ada").post("/hosts/invitations", name="far", tags="nat, rack-2")
    assert made.status_code == 200
    assert "quarterdeck worker --join" in made.text
    invitation = node.hosts.invitations.open()[0]
    assert invitation.tags == ("nat", "rack-2")
    page = as_("ada").get("/hosts/invitations").text
    assert "far" in page
    assert "--join" not in page
    gone = as_("ada").post(f"/hosts/invitations/{invitation.id}/revoke")
    assert gone.status_code == 303
    assert node.hosts.invitations.open() == []


def test_page_keeps_what_was_typed_wrongly(as_: Callable[[str], Browser]) -> None:
    answer = as_("ada").post("/hosts/invitations", name="-bad", tags="nat")
    assert answer.status_code == 422
    assert 'value="-bad"' in answer.text


@pytest.mark.parametrize("who", ["oskar", "vera"])
def test_page_is_for_administrators(as_: Callable[[str], Browser], who: str) -> None:
    assert as_(who).get("/hosts/invitations").status_code == 403
    assert as_(who).post("/hosts/invitations", name="far").status_code == 403


def test_page_of_a_worker_that_dials_in_says_so(as_: Callable[[str], Browser], node: Node) -> None:
    join(node, wanted(invite(node).code))
    page = as_("vera").get("/hosts/far").text
    assert "dials in" in page
    assert "line://" not in page
    edit = as_("ada").get("/hosts/far/edit").text
    assert 'name="token"' not in edit
    assert 'name="address"' not in edit
    saved = as_("ada").post("/hosts/far/edit", name="farther", tags="x")
    assert saved.status_code == 303
    assert node.hosts.get("farther").dials_in
