"""The JSON API of hosts and API bases: fixed points that outside tools rely on."""

from collections.abc import Callable

import pytest

from quarterdeck.hosts.models import HostState
from tests.hosts.factories import ADA, Api, Node, draft
from tests.sshd import StartSshd

ApiAs = Callable[[str], Api]

CALLS = [
    ("GET", "/hosts", None, {"ada", "oskar", "vera"}),
    ("GET", "/hosts/web1", None, {"ada", "oskar", "vera"}),
    ("GET", "/bases", None, {"ada", "oskar", "vera"}),
    ("POST", "/hosts/web1/test", None, {"ada", "oskar"}),
    ("POST", "/hosts", {"name": "x"}, {"ada"}),
    ("PATCH", "/hosts/web1", {"tags": ["x"]}, {"ada"}),
    ("POST", "/hosts/web1/scan", None, {"ada"}),
    ("POST", "/hosts/web1/host-key", {"fingerprint": "SHA256:x"}, {"ada"}),
    ("POST", "/hosts/import", {"text": "hosts: []"}, {"ada"}),
    ("POST", "/bases", {"name": "x", "url": "y"}, {"ada"}),
    ("DELETE", "/bases/tickets", None, {"ada"}),
    ("POST", "/hosts/web1/revoke", None, {"ada"}),
    ("DELETE", "/hosts/web1", None, {"ada"}),
]


@pytest.fixture
def web1(node: Node) -> None:
    node.hosts.register(ADA, draft(tags=("web",)))
    node.hosts.bases.add_base(ADA, "tickets", "https://api.example.org", "marker-of-a-bearer")


@pytest.mark.usefixtures("web1")
@pytest.mark.parametrize("name", ["ada", "oskar", "vera", "nils", ""])
def test_each_call_is_for_whoever_may(api_as: ApiAs, name: str) -> None:
    for method, path, body, allowed in CALLS:
        status = api_as(name)(method, path, body).status_code
        if name in allowed:
            assert status in (200, 201, 204, 409, 422, 502), path
        else:
            assert status == (401 if not name else 403), path


def test_added_host_is_pinned_and_well(api_as: ApiAs, node: Node, sshd: StartSshd) -> None:
    server = sshd()
    body = {
        "name": "web1",
        "kind": "ssh",
        "address": "127.0.0.1",
        "port": server.port,
        "username": "root",
        "tags": ["web", "eu"],
        "private_key": server.keys.good,
    }
    answer = api_as("ada")("POST", "/hosts", body)
    made = answer.get_json()
    assert (answer.status_code, answer.headers["Location"]) == (201, "/api/v1/hosts/web1")
    assert {key: made[key] for key in ("name", "kind", "address", "port", "username", "tags", "state")} == {
        key: body[key] for key in ("name", "kind", "address", "port", "username")
    } | {"tags": ["eu", "web"], "state": "well"}
    assert made["host_key"]["state"] == "pinned"
    assert made["host_key"]["fingerprint"] == server.fingerprint
    assert made["last_seen"]
    assert server.keys.good.splitlines()[2] not in answer.text
    assert made == api_as("vera")("GET", "/hosts/web1").get_json()


def test_key_waits_where_that_is_asked(api_as: ApiAs, sshd: StartSshd) -> None:
    server = sshd()
    body = {"name": "web1", "address": "127.0.0.1", "port": server.port, "username": "root"}
    secret = {"private_key": server.keys.good, "confirm_host_key": True}
    made = api_as("ada")("POST", "/hosts", body | secret).get_json()
    assert (made["host_key"]["state"], made["state"]) == ("unconfirmed", "unknown")
    wrong = api_as("ada")("POST", "/hosts/web1/host-key", {"fingerprint": "SHA256:no"})
    assert (wrong.status_code, list(wrong.get_json()["errors"])) == (422, ["fingerprint"])
    right = api_as("ada")("POST", "/hosts/web1/host-key", {"fingerprint": server.fingerprint})
    assert (right.get_json()["host_key"]["state"], right.get_json()["state"]) == ("pinned", "well")


def test_host_key_may_be_given(api_as: ApiAs, sshd: StartSshd) -> None:
    server, other = sshd(), sshd()
    body = {"name": "web1", "address": "127.0.0.1", "port": server.port, "username": "root"}
    made = api_as("ada")("POST", "/hosts", body | {"host_key": other.host_key}).get_json()
    assert made["host_key"]["state"] == "changed"
    assert made["host_key"]["fingerprint"] == other.fingerprint
    assert made["host_key"]["shown_fingerprint"] == server.fingerprint
    assert made["state"] == "lost"


BAD_BODIES: list[tuple[dict[str, object], str]] = [
    ({}, "name"),
    ({"name": "x", "kind": "ftp"}, "kind"),
    ({"name": "x", "address": "-oProxyCommand=id", "username": "root"}, "address"),
    ({"name": "x", "address": "a", "username": "-l"}, "username"),
    ({"name": "x", "address": "a", "username": "root", "port": "ssh"}, "port"),
    ({"name": "x", "address": "a", "username": "root", "port": 70000}, "port"),
    ({"name": "x", "address": "a", "username": "root", "tags": ["a b"]}, "tags"),
    ({"name": "x", "address": "a", "username": "root", "private_key": "no"}, "private_key"),
    ({"name": "x", "address": "a", "username": "root", "ssh_options": {}}, "ssh_options"),
    ({"name": "x", "address": "a", "username": "root", "jump": "nobody"}, "jump"),
    ({"name": "x", "kind": "worker", "address": "http://far.example.org"}, "address"),
]


def test_bad_bodies_are_told_by_field(api_as: ApiAs, node: Node) -> None:
    for body, field in BAD_BODIES:
        answer = api_as("ada")("POST", "/hosts", body)
        assert answer.status_code == 422, body
        assert answer.mimetype == "application/problem+json"
        assert field in answer.get_json()["errors"]
    assert not node.hosts.list_hosts()


@pytest.mark.usefixtures("web1")
def test_name_in_use_is_a_conflict(api_as: ApiAs) -> None:
    answer = api_as("ada")("POST", "/hosts", {"name": "WEB1", "address": "a", "username": "root"})
    assert (answer.status_code, list(answer.get_json()["errors"])) == (409, ["name"])


def test_list_pages_by_cursor(api_as: ApiAs, node: Node) -> None:
    node.hosts.import_hosts(ADA, [draft(f"h{number}") for number in range(5)])
    first = api_as("vera")("GET", "/hosts?limit=3").get_json()
    rest = api_as("vera")("GET", f"/hosts?limit=3&cursor={first['next_cursor']}").get_json()
    assert [host["name"] for host in first["hosts"] + rest["hosts"]] == ["h0", "h1", "h2", "h3", "h4"]
    assert rest["next_cursor"] is None


def test_list_filters(api_as: ApiAs, node: Node) -> None:
    for name, tags in (("a", ("web", "eu")), ("b", ("web",))):
        node.hosts.register(ADA, draft(name, tags=tags))
    node.hosts.note_contact(node.hosts.get("b").id, HostState.LOST, "gone")

    def names(query: str) -> list[str]:
        return [host["name"] for host in api_as("vera")("GET", f"/hosts?{query}").get_json()["hosts"]]

    assert names("tag=web,eu") == names("tag=web&tag=eu") == ["a"]
    assert names("state=lost,late") == names("q=gone") == ["b"]
    assert api_as("vera")("GET", "/hosts?state=fine").status_code == 422


@pytest.mark.usefixtures("web1")
def test_patch_changes_only_what_it_names(api_as: ApiAs, node: Node) -> None:
    made = api_as("ada")("PATCH", "/hosts/web1", {"password": "hunter22", "port": 2}).get_json()
    assert (made["port"], made["tags"], made["stored_secrets"]) == (2, ["web"], ["password"])
    made = api_as("ada")("PATCH", "/hosts/web1", {"tags": [], "forget": ["password"]}).get_json()
    assert (made["port"], made["tags"], made["stored_secrets"]) == (2, [], [])


@pytest.mark.usefixtures("web1")
def test_removed_host_is_gone(api_as: ApiAs) -> None:
    assert api_as("ada")("DELETE", "/hosts/web1").status_code == 204
    assert api_as("ada")("GET", "/hosts/web1").status_code == 404


@pytest.mark.usefixtures("web1")
def test_failed_test_is_an_answer(api_as: ApiAs) -> None:
    answer = api_as("oskar")("POST", "/hosts/web1/test")
    assert answer.status_code == 200
    assert answer.get_json()["ok"] is False
    assert "refused" in answer.get_json()["message"]


def test_import_adds_all_or_none(api_as: ApiAs, node: Node) -> None:
    good = "hosts:\n- {name: a, address: a, username: root}"
    bad = f"{good}\n- {{name: b, address: '-', username: root}}"
    assert api_as("ada")("POST", "/hosts/import", {"text": bad}).get_json()["errors"].keys() == {"1.address"}
    preview = api_as("ada")("POST", "/hosts/import", {"text": bad, "preview": True}).get_json()
    assert (preview["imported"], list(preview["rows"][1]["errors"])) == (False, ["address"])
    assert not node.hosts.list_hosts()
    assert api_as("ada")("POST", "/hosts/import", {"text": good}).get_json()["imported"]
    assert [host.name for host in node.hosts.list_hosts()] == ["a"]


@pytest.mark.usefixtures("web1")
def test_bases_never_tell_their_bearer(api_as: ApiAs) -> None:
    answer = api_as("vera")("GET", "/bases")
    assert answer.get_json()["bases"][0]["has_bearer"] is True
    assert "marker-of-a-bearer" not in answer.text


def test_bases_are_added_and_removed(api_as: ApiAs) -> None:
    body = {"name": "tickets", "url": "https://api.example.org/v2/"}
    made = api_as("ada")("POST", "/bases", body)
    assert (made.status_code, made.get_json()["url"]) == (201, "https://api.example.org/v2")
    assert api_as("ada")("POST", "/bases", body).status_code == 409
    assert api_as("ada")("DELETE", "/bases/tickets").status_code == 204
    assert api_as("ada")("GET", "/bases/tickets").status_code == 404
