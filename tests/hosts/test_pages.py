"""The pages of hosts and API bases, as each of the cast sees them, without script."""

import io
import re
from collections.abc import Callable

import pytest
from apiflask import APIFlask

from quarterdeck.core import web
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind, HostState
from tests.hosts.factories import ADA, Browser, Node, draft, ssh_draft
from tests.sshd import StartSshd

As = Callable[[str], Browser]

READ, WRITE, TEST = "host.read", "host.write", "host.test"
MAY = {"ada": {READ, WRITE, TEST}, "oskar": {READ, TEST}, "vera": {READ}, "nils": set(), "": set()}
PAGES = [
    ("GET", "/hosts", READ),
    ("GET", "/hosts/rows", READ),
    ("GET", "/hosts/web1", READ),
    ("GET", "/hosts/web1/state", READ),
    ("GET", "/bases", READ),
    ("POST", "/hosts/web1/test", TEST),
    ("GET", "/hosts/new", WRITE),
    ("GET", "/hosts/new?kind=ssh", WRITE),
    ("GET", "/hosts/import", WRITE),
    ("GET", "/hosts/web1/edit", WRITE),
    ("GET", "/hosts/web1/remove", WRITE),
    ("GET", "/hosts/web1/revoke", WRITE),
    ("GET", "/bases/tickets/remove", WRITE),
    ("POST", "/hosts/new?kind=ssh", WRITE),
    ("POST", "/hosts/import", WRITE),
    ("POST", "/hosts/web1/edit", WRITE),
    ("POST", "/hosts/web1/scan", WRITE),
    ("POST", "/hosts/web1/host-key", WRITE),
    ("POST", "/hosts/web1/revoke", WRITE),
    ("POST", "/hosts/web1/remove", WRITE),
    ("POST", "/bases", WRITE),
    ("POST", "/bases/tickets/remove", WRITE),
]
FIELDS = {"name": "web1", "address": "127.0.0.1", "port": "1", "username": "root"}


@pytest.fixture
def web1(node: Node) -> None:
    node.hosts.register(ADA, draft(tags=("web",)))
    node.hosts.bases.add_base(ADA, "tickets", "https://api.example.org", "a-bearer")


@pytest.mark.usefixtures("web1")
@pytest.mark.parametrize("name", MAY)
def test_each_page_is_for_whoever_may(node: Node, as_: As, name: str) -> None:
    browser = as_(name)
    before = stored(node)
    for method, path, verb in PAGES:
        answer = browser.get(path) if method == "GET" else browser.post(path)
        if verb in MAY[name]:
            assert answer.status_code in (200, 303, 409, 422, 502), path
            continue
        assert answer.status_code in ((303, 401, 403) if not name else (403,)), path
        assert stored(node) == before, path


def stored(node: Node) -> tuple[int, int]:
    return len(node.hosts.list_hosts()), len(node.hosts.bases.list_bases())


def test_every_handler_names_its_verb(app: APIFlask) -> None:
    ours = {name: view for name, view in app.view_functions.items() if name.startswith("hosts")}
    assert len(ours) > 20
    assert all(web.verb_of(view) for view in ours.values())


def test_form_adds_a_host_and_asks_for_its_key(node: Node, as_: As, sshd: StartSshd) -> None:
    server = sshd()
    browser = as_("ada")
    fields = {**FIELDS, "port": str(server.port), "tags": "web, eu", "private_key": server.keys.good}
    answer = browser.post("/hosts/new?kind=ssh", **fields)
    assert (answer.status_code, answer.location) == (303, "/hosts/web1?added=yes")
    page = browser.get("/hosts/web1").text
    assert "This is the right host: pin it" in page
    assert server.fingerprint in page.replace("&#43;", "+")
    confirmed = browser.post("/hosts/web1/host-key", fingerprint=server.fingerprint)
    assert confirmed.status_code == 303
    assert node.hosts.get("web1").state is HostState.WELL


def test_key_may_be_uploaded(node: Node, as_: As, sshd: StartSshd) -> None:
    server = sshd()
    upload = (io.BytesIO(server.keys.good.encode()), "id_ed25519")
    as_("ada").post("/hosts/new?kind=ssh", **FIELDS, private_key_file=upload)
    assert node.hosts.get("web1").stored == {"private_key"}


def test_mistakes_come_back_beside_their_fields(node: Node, as_: As) -> None:
    fields = {**FIELDS, "address": "-oProxyCommand=id", "port": "port", "private_key": "nope"}
    answer = as_("ada").post("/hosts/new?kind=ssh", **fields)
    assert answer.status_code == 422
    assert re.search(r'id="field-port"[^>]*aria-invalid="true"', answer.text)
    assert 'value="web1"' in answer.text
    assert not node.hosts.list_hosts()


@pytest.mark.usefixtures("web1")
def test_name_in_use_is_told_beside_the_name(as_: As) -> None:
    answer = as_("ada").post("/hosts/new?kind=ssh", **FIELDS)
    assert answer.status_code == 409
    assert 'id="field-name-error"' in answer.text


def test_stored_secrets_are_never_shown(node: Node, as_: As, sshd: StartSshd) -> None:
    server = sshd()
    secrets = {"private_key": server.keys.good, "password": "marker-password"}
    node.hosts.add_host(ADA, ssh_draft(server, secrets=secrets), confirm_key=False)
    browser = as_("ada")
    paths = ("/hosts", "/hosts/web1", "/hosts/web1/edit", "/hosts/web1/remove", "/hosts/rows")
    pages = "".join(browser.get(path).text for path in paths) + browser.post("/hosts/web1/test").text
    assert "marker-password" not in pages
    assert server.keys.good.splitlines()[2] not in pages


@pytest.mark.usefixtures("web1")
def test_edit_keeps_what_is_left_empty(node: Node, as_: As) -> None:
    as_("ada").post("/hosts/web1/edit", **FIELDS, password="hunter22")
    answer = as_("ada").post("/hosts/web1/edit", **{**FIELDS, "name": "web9"}, tags="db")
    assert answer.location == "/hosts/web9?saved=yes"
    assert (node.hosts.get("web9").stored, node.hosts.get("web9").tags) == (frozenset({"password"}), ("db",))
    as_("ada").post("/hosts/web9/edit", **FIELDS, forget="password")
    assert not node.hosts.get("web1").stored


def test_test_button_shows_the_result(as_: As, node: Node) -> None:
    node.hosts.register(ADA, draft())
    answer = as_("oskar").post("/hosts/web1/test")
    assert "The test failed" in answer.text
    assert "connection refused" in answer.text


def test_changed_key_shows_both_and_asks(node: Node, as_: As, sshd: StartSshd) -> None:
    server = sshd()
    node.hosts.add_host(ADA, ssh_draft(server), confirm_key=False)
    pinned = server.fingerprint
    server.change_host_key()
    page = as_("ada").post("/hosts/web1/test").text.replace("&#43;", "+")
    assert all(text in page for text in (pinned, server.fingerprint, "Keep the pinned key"))
    assert "Keep the pinned key" not in as_("vera").get("/hosts/web1").text


def test_wrong_fingerprint_comes_back_with_a_message(node: Node, as_: As, sshd: StartSshd) -> None:
    node.hosts.add_host(ADA, ssh_draft(sshd()))
    answer = as_("ada").post("/hosts/web1/host-key", fingerprint="SHA256:wrong")
    assert answer.status_code == 422
    assert "not the fingerprint given" in answer.text


@pytest.mark.usefixtures("web1")
def test_removing_asks_first(node: Node, as_: As) -> None:
    browser = as_("ada")
    assert "Remove web1?" in browser.get("/hosts/web1/remove").text
    assert node.hosts.list_hosts()
    assert browser.post("/hosts/web1/remove").location == "/hosts"
    assert not node.hosts.list_hosts()


def test_host_that_others_need_names_them(node: Node, as_: As) -> None:
    node.hosts.register(ADA, draft("gate"))
    node.hosts.register(ADA, draft("inner", jump="gate"))
    assert "/hosts/inner" in as_("ada").get("/hosts/gate/remove").text
    assert as_("ada").post("/hosts/gate/remove").status_code == 409


def test_list_filters_by_its_address(node: Node, as_: As) -> None:
    for name, tags in (("web-1", ("web",)), ("db-1", ("db",))):
        node.hosts.register(ADA, draft(name, tags=tags))
    node.hosts.register(ADA, HostDraft("here", HostKind.MASTER))
    browser = as_("vera")
    for query in ("tag=db", "q=db", "kind=ssh&q=DB", "state=unknown&tag=db"):
        page = browser.get(f"/hosts?{query}").text
        assert ">db-1<" in page
        assert ">web-1<" not in page


@pytest.mark.parametrize(
    "query", ["sort=evil", "state=x&kind=y", "page=-1", "page=99999999", "q=%25%27%00", "sort=-name&page=2"]
)
def test_odd_queries_are_no_errors(node: Node, as_: As, query: str) -> None:
    node.hosts.register(ADA, draft())
    assert as_("vera").get(f"/hosts?{query}").status_code == 200


def test_list_of_many_is_cut_into_pages(node: Node, as_: As) -> None:
    node.hosts.import_hosts(ADA, [draft(f"h{number:03}") for number in range(150)])
    browser = as_("vera")
    first = browser.get("/hosts?q=h").text
    assert "1 to 100 of 150 hosts" in first
    assert "/hosts?q=h&amp;page=2" in first
    assert "101 to 150 of 150 hosts" in browser.get("/hosts?q=h&page=2").text


def test_filters_of_a_script_get_the_rows_alone(node: Node, as_: As) -> None:
    node.hosts.register(ADA, draft())
    answer = as_("vera").get("/hosts", headers={"HX-Request": "true"})
    assert "<html" not in answer.text
    assert ">web1<" in answer.text


def test_import_shows_the_plan_then_adds(node: Node, as_: As) -> None:
    browser = as_("ada")
    text = "hosts:\n- {name: a, address: a.example.org, username: root}"
    page = browser.post("/hosts/import", format="yaml", text=text, step="preview")
    assert "1 host would be added" in page.text
    assert not node.hosts.list_hosts()
    assert browser.post("/hosts/import", format="yaml", text=text, step="import").status_code == 303
    assert [host.name for host in node.hosts.list_hosts()] == ["a"]


def test_import_of_a_file_with_a_fault_adds_nothing(node: Node, as_: As) -> None:
    upload = (io.BytesIO(b"Host ok\n User root\nHost bad\n"), "config")
    page = as_("ada").post("/hosts/import", format="openssh", file=upload, step="import")
    assert page.status_code == 422
    assert "Name the account to sign in with" in page.text
    assert not node.hosts.list_hosts()


def test_bases_are_added_and_removed(node: Node, as_: As) -> None:
    browser = as_("ada")
    fields = {"name": "tickets", "url": "https://api.example.org", "bearer": "marker-of-a-bearer"}
    assert browser.post("/bases", **fields).status_code == 303
    page = browser.get("/bases").text
    assert "https://api.example.org" in page
    assert "marker-of-a-bearer" not in page
    assert browser.post("/bases", **fields).status_code == 409
    assert browser.post("/bases", **{**fields, "url": "ftp://x"}).status_code == 422
    assert browser.post("/bases/tickets/remove").status_code == 303
    assert not node.hosts.bases.list_bases()


def test_a_page_beyond_the_last_does_not_say_that_there_are_no_hosts(node: Node, as_: As) -> None:
    node.hosts.import_hosts(ADA, [draft("web1")])
    page = as_("vera").get("/hosts?page=9").text
    assert "No hosts yet" not in page
    assert "Show all hosts" in page


def test_unknown_hosts_are_not_found(as_: As) -> None:
    for path in ("/hosts/nobody", "/hosts/nobody/edit", "/hosts/%2e%2e", "/hosts/a%00b", "/bases/x/remove"):
        assert as_("ada").get(path).status_code == 404


def test_form_from_another_site_is_refused(node: Node, as_: As) -> None:
    answer = as_("ada").client.post("/hosts/new?kind=ssh", data=FIELDS)
    assert answer.status_code == 403
    assert not node.hosts.list_hosts()
