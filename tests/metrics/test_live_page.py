"""The live page as the server draws it: dials, lines, marks, and what it says when it knows nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from quarterdeck.access.identify import SESSION_COOKIE
from quarterdeck.core.actors import SYSTEM, Level, Role
from quarterdeck.core.config import load_settings
from quarterdeck.core.metrics import Metrics
from quarterdeck.core.web import provide
from quarterdeck.hosts.bootstrap import ensure_own_hosts
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.master import create_app
from quarterdeck.metrics.dashboard.view import LINE_VALUES, view_of, word_of
from quarterdeck.metrics.fleet import Fleet, HostNow
from quarterdeck.protocol.samples import Facts, Frame, Mount
from tests.access.factories import PASSWORD
from tests.cheap_parts import CheapParts
from tests.clocks import SetClock
from tests.metrics.machines import FACTS, GB, OWN, full_frame, take


class Site:
    """A master's app, and its people in browsers."""

    def __init__(self, home: Path) -> None:
        self.clock = SetClock()
        self.parts = CheapParts(load_settings({"QUARTERDECK_HOME": str(home)}), self.clock)
        ensure_own_hosts(self.parts.hosts, self.parts.settings)
        drafts = [HostDraft("web1", HostKind.SSH, "192.0.2.7", username="root", port=9)]
        self.parts.hosts.import_hosts(SYSTEM, drafts)
        self.app = create_app(self.parts)
        provide(self.app, Metrics())

    def as_(self, name: str, role: Role | None) -> FlaskClient:
        access = self.parts.access
        access.add_person(SYSTEM, name, role=role, password=PASSWORD)
        client: FlaskClient = self.app.test_client()
        client.set_cookie(SESSION_COOKIE, access.sign_in(name, PASSWORD))
        return client

    def sample(self, at: float = 0, facts: Facts = FACTS, **values: float) -> None:
        own_id = self.parts.own_host.now().id
        self.parts.fleet.take_facts(own_id, facts)
        take(self.parts.fleet, own_id, at=at or self.clock.now().timestamp(), **values)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "home")
    yield made
    made.parts.close()


def test_a_viewer_sees_the_machine(site: Site) -> None:
    site.sample(cpu=91.26, memory=25)
    page = site.as_("vera", Role.VIEWER).get("/live")
    assert page.status_code == 200
    for text in (
        "deck-1", "Debian GNU/Linux 12 (bookworm)", "2001:db8::7", "3.11.7", "4.0 GB of 16.0 GB", ">91.3<",
        ">high<", "40.0 GB of 100 GB", "4 logical processors", "0.42", "51.5 °C",
    ):  # fmt: skip
        assert text in page.text, text
    assert 'stroke-dasharray="68.44 100"' in page.text


def test_before_the_first_sample_it_says_that_it_waits(site: Site) -> None:
    page = site.as_("vera", Role.VIEWER).get("/live").text
    assert 'aria-busy="true"' in page
    assert '<p class="notice notice-info" data-waiting role="status">' in page
    assert '<p class="notice notice-warning" data-old role="status" hidden>' in page


def test_old_figures_are_shown_as_old(site: Site) -> None:
    site.sample(at=site.clock.now().timestamp() - 60)
    page = site.as_("vera", Role.VIEWER).get("/live").text
    assert '<p class="notice notice-warning" data-old role="status">' in page


def test_hostile_facts_are_text(site: Site) -> None:
    evil = "<script>alert(1)</script>"
    site.sample(facts=Facts(hostname=evil, system=evil, kernel=evil, addresses=[evil], python=evil))
    page = site.as_("vera", Role.VIEWER).get("/live").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_nobody_is_asked_to_sign_in(site: Site) -> None:
    answer = site.app.test_client().get("/live")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in?next=/live")


@pytest.mark.parametrize(("granted", "status"), [("host:master", 200), ("host:web1", 404), ("", 403)])
def test_a_grant_on_the_master_s_host_opens_it_and_no_other(site: Site, granted: str, status: int) -> None:
    nils = site.as_("nils", None)
    if granted:
        site.parts.grants.give(SYSTEM, granted, Level.READ, person="nils")
    assert nils.get("/live").status_code == status


def test_it_can_be_loaded_again_by_itself(site: Site) -> None:
    vera = site.as_("vera", Role.VIEWER)
    assert '<meta http-equiv="refresh" content="5">' in vera.get("/live?refresh=5").text
    for asked in ("", "0", "1;url=https://example.org", "x"):
        assert 'http-equiv="refresh"' not in vera.get("/live", query_string={"refresh": asked}).text


@pytest.mark.parametrize(
    ("percent", "word"),
    [(0, "fine"), (79.9, "fine"), (80, "high"), (94.9, "high"), (95, "critical"), (100, "critical")],
)
def test_a_share_has_a_word(percent: float, word: str) -> None:
    assert word_of(percent)[0] == word


def test_a_line_holds_the_last_hundred_values_and_ends_at_the_right() -> None:
    fleet = Fleet()
    for second in range(150):
        take(fleet, at=1000.0 + second, cpu=second / 2)
    dial = view_of(fleet.now(OWN), 1150.0).dials[1]
    assert len(dial.line) == LINE_VALUES
    assert dial.points.split(" ")[-1] == "99,25.5"
    take(short := Fleet(), at=1000.0, cpu=10)
    assert view_of(short.now(OWN), 1000.0).dials[1].points == "99,90"


def test_nothing_is_known_of_a_machine_that_was_never_heard_of() -> None:
    view = view_of(None, 0.0)
    assert [(dial.number, dial.word, dial.arc) for dial in view.dials] == [("–", "", "0.00")] * 3
    assert (view.at, view.facts, view.cores, view.is_old) == (None, None, (), False)


def test_the_disk_is_the_root_file_system_or_else_the_nearest_to_it() -> None:
    host = HostNow("h1", at=1.0, mounts=full_frame(1.0).mounts or [])
    assert view_of(host, 1.0).dials[2].percent == 40
    host.mounts = [Mount("/srv/data", GB, GB), Mount("/srv", 4 * GB, GB)]
    disk = view_of(host, 1.0).dials[2]
    assert (disk.title, disk.percent) == ("Disk /srv", 75)


def test_figures_that_are_missing_are_not_zero() -> None:
    fleet = Fleet()
    fleet.take(OWN, Frame(at=1.0, is_full=True, values={"cpu": 5.0}), at=1.0)
    view = view_of(fleet.now(OWN), 1.0)
    assert [dial.percent for dial in view.dials] == [None, 5.0, None]
    assert (view.load, view.swap) == (None, None)
