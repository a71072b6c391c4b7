"""The pages of a host's figures, of its processes and of hosts compared, as they are without script."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quarterdeck.core import web
from quarterdeck.core.actors import SYSTEM, Actor
from quarterdeck.core.errors import Unreachable
from quarterdeck.hosts.models import HostKind, HostState
from quarterdeck.hosts.silences import SilenceDraft
from quarterdeck.metrics.alerts.models import AlertRecord
from quarterdeck.metrics.alerts.rules import AlertLevel
from quarterdeck.metrics.host.top import TopProcesses
from quarterdeck.metrics.host.view import Neighbours, RunGlance, view_of
from quarterdeck.metrics.sampling.processes import Order
from quarterdeck.protocol.samples import Processes, ProcessUse
from tests.metrics.whole_master import Master


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    master = Master(tmp_path / "home")
    yield master
    master.close()


def paths_of(page: str, chart: str) -> list[str]:
    """Return the lines of a chart, as the server draws them."""
    figure = page.split(f'data-chart="{chart}"')[1].split("</figure>")[0]
    return re.findall(r'class="plot plot-\d" d="([^"]*)"', figure.split("chart-lines")[1])


def test_page_tells_how_the_host_is_doing_now(master: Master) -> None:
    master.live(60, cpu=12.5)
    page = master.get("/fleet/h1").text
    for text in ("12.5 %", "Last heard", "eth0", "40 B free of 100 B", "51 °C", "Each core", "6.1"):
        assert text in page
    assert 'data-bar="cpu" width="12.5"' in page


def test_chart_is_drawn_with_its_gap(master: Master) -> None:
    master.live(900, cpu=50.0)
    master.clock.forward(900)
    master.live(900, cpu=50.0)
    page = master.get("/fleet/h1?range=1h").text
    line, waiting = paths_of(page, "cpu")
    assert line.count("M") == 2, "a break where there was nothing"
    assert re.match(r"M\d+ 50l", line), "half of a height of 100"
    assert waiting == "", "a figure that the host does not have"
    assert "Each step is 45 s" in page, "two or three samples"


def test_rolled_up_steps_have_a_band_from_least_to_most(master: Master) -> None:
    for cpu in (10.0, 90.0) * 8:
        master.live(600, cpu=cpu)
    page = master.get("/fleet/h1?range=24h").text
    assert 'class="band band-1"' in page.split('data-chart="cpu"')[1].split("</figure>")[0]


def test_range_stands_in_the_address(master: Master) -> None:
    page = master.get("/fleet/h1?range=7d").text
    assert 'href="/fleet/h1?range=7d" aria-current="page"' in page
    assert 'href="/fleet/h1?range=30d"' in page
    assert 'range=1h" aria-current="page"' in master.get("/fleet/h1?range=nonsense").text


def test_table_tells_the_same_on_request(master: Master) -> None:
    master.live(600, cpu=7.5)
    page = master.get("/fleet/h1?range=10m").text
    assert '<table class="chart-table"' not in page
    assert 'href="/fleet/h1?range=10m&amp;table=yes#figures"' in page
    page = master.get("/fleet/h1?range=10m&table=yes").text
    assert "7.5 %" in page.split('class="chart-table"')[1]
    assert "/api/v1/hosts/h1/samples?range=10m&amp;format=csv" in page


def test_page_loads_itself_again_only_when_asked_to(master: Master) -> None:
    assert "http-equiv" not in master.get("/fleet/h1").text
    for asked, seconds in (("10", "10"), ("1", "5"), ("99999", "3600")):
        page = master.get(f"/fleet/h1?refresh={asked}").text
        assert f'<noscript><meta http-equiv="refresh" content="{seconds}"></noscript>' in page
    assert "http-equiv" not in master.get("/fleet/h1?refresh=soon").text


def test_host_without_figures_says_why(master: Master) -> None:
    page = master.get("/fleet/h2").text
    assert "There are no figures of h2" in page
    assert "Name a tag in QUARTERDECK_SSH_SAMPLE_TAG" in page
    assert "No samples in this time" in page


def test_silent_host_is_shown_as_old_with_its_last_figures(master: Master) -> None:
    master.live(120, cpu=33.0)
    master.clock.forward(180)
    page = master.get("/fleet/h1/now").text
    assert "What stands here is old" in page
    assert "3 min ago" in page
    assert "33.0 %" in page


def test_after_a_start_the_last_stored_figures_are_shown_as_old(master: Master, tmp_path: Path) -> None:
    master.live(120, cpu=44.0)
    master.parts.samples.round()
    host_id = master.parts.hosts.get("h1").id
    master.parts.fleet.forget([host_id])
    master.clock.forward(600)
    page = master.get("/fleet/h1/now").text
    assert "44.0 %" in page
    assert "What stands here is old" in page


def test_lost_host_is_old_however_fresh_its_sample(master: Master) -> None:
    master.live(15)
    host = master.parts.hosts.get("h1")
    master.parts.hosts.note_contact(host.id, HostState.LOST, "it does not answer")
    view = view_of(master.parts.hosts.get("h1"), master.parts.fleet.now(host.id), master.clock.now())
    assert view.is_old
    master.clock.forward(180)
    page = master.get("/fleet/h1").text
    assert "it does not answer" in page
    assert re.search(r"since <time [^>]*>3 min ago</time>", page)


def test_silenced_host_is_marked(master: Master) -> None:
    draft = SilenceDraft(host="h1", reason="moving racks")
    master.parts.hosts.silences.add(SYSTEM, draft)
    assert re.search(r'<span class="chip">silenced[^<]*</span>', master.get("/fleet/h1").text)


def test_looking_at_a_page_has_the_host_sampled_more_often(master: Master) -> None:
    host_id = master.parts.hosts.get("h1").id
    assert not master.parts.attention.is_looked_at(host_id)
    master.get("/fleet/h1/now")
    assert master.parts.attention.is_looked_at(host_id)


def test_who_may_run_commands_has_a_form_for_it(master: Master) -> None:
    page = master.get("/fleet/h1", "oskar").text
    assert 'name="hosts" value="h1"' in page
    assert 'action="/runs"' in page
    assert 'action="/runs"' not in master.get("/fleet/h1", "vera").text


@pytest.mark.parametrize(
    "path", ["/fleet/{}", "/fleet/{}/now", "/fleet/{}/processes", "/fleet/compare?host={}"]
)
def test_hosts_of_others_are_as_absent(master: Master, path: str) -> None:
    assert master.get(path.format("h2"), "narrow").status_code == 200
    assert master.get(path.format("h1"), "narrow").status_code == 404
    assert master.get(path.format("absent")).status_code == 404
    assert master.get(path.format("h1"), "").status_code in (303, 401)


def test_hosts_are_compared_in_one_chart_and_a_table(master: Master) -> None:
    for _ in range(40):
        master.clock.forward(15)
        master.sample(20.0)
        master.sample(80.0, "h2")
    page = master.get("/fleet/compare?host=h1&host=h2&figure=cpu&range=1h&table=yes").text
    first, second = paths_of(page, "compare")
    assert re.match(r"M\d+ 80l", first)
    assert re.match(r"M\d+ 20l", second)
    assert "20.0 %" in page.split("chart-table")[1]
    assert 'href="/fleet/compare?host=h2&amp;figure=cpu&amp;range=1h&amp;table=yes"' in page


def test_comparison_offers_only_hosts_that_are_open(master: Master) -> None:
    assert '<option value="h1">' in master.get("/fleet/compare").text
    page = master.get("/fleet/compare", "narrow").text
    assert '<option value="h2">' in page
    assert 'value="h1"' not in page


def test_more_than_eight_hosts_are_refused(master: Master) -> None:
    query = "&".join(f"host=h{number}" for number in range(9))
    answer = master.get(f"/fleet/compare?{query}")
    assert answer.status_code == 422
    assert "8 hosts at most" in answer.text


def test_odd_queries_are_no_errors(master: Master) -> None:
    for query in ("figure=evil&host=h1", "range=%00", "host=&host=h1&range=1y", "refresh=-1"):
        assert master.get(f"/fleet/compare?{query}").status_code == 200


def test_an_ssh_host_is_not_asked_for_its_processes(master: Master) -> None:
    page = master.get("/fleet/h1/processes").text
    assert "Only workers are asked" in page


def test_processes_of_the_master_come_without_a_detour(master: Master) -> None:
    use = ProcessUse(pid=7, name="<cruncher>", user="ada", cpu_percent=99.0, memory_bytes=2_000_000)
    asked: list[Order] = []

    def own(order: Order) -> Processes:
        asked.append(order)
        return Processes(at=0, count=1, top=[use])

    host = master.parts.hosts.get("h1")
    top = TopProcesses(master.parts.hosts, own)
    with pytest.raises(Unreachable):
        top.of(host, Order.CPU)
    assert top.of(replace(host, kind=HostKind.MASTER), Order.MEMORY).top == [use]
    assert asked == [Order.MEMORY]


def test_active_alerts_stand_above_the_figures(master: Master) -> None:
    host, moment = master.parts.hosts.get("h1"), master.clock.now()
    alert = AlertRecord(
        id="a1",
        host_id=host.id,
        host="h1",
        rule_id="r1",
        rule="Memory is short",
        level=AlertLevel.ALERT,
        figure="memory",
        condition="memory ≥ 95 % for 5 min",
        since=moment,
        began_at=moment,
        value=97.0,
        value_at=moment,
        is_silenced=True,
    )
    told = {host.id: [alert]}
    neighbours = Neighbours(lambda _actor, _name: [], lambda host_id: told.get(host_id, ()))
    web.provide(master.app, neighbours)
    page = master.get("/fleet/h1/now").text
    assert "Memory is short" in page
    assert "(alert, silenced)" in page
    assert "Memory is short" not in master.get("/fleet/h2/now").text


def test_recent_runs_are_those_that_the_reader_may_read(master: Master) -> None:
    asked: list[tuple[str, str]] = []

    def runs(actor: Actor, name: str) -> list[RunGlance]:
        asked.append((actor.label, name))
        return [RunGlance("r1", "uptime", "succeeded", master.clock.now())]

    web.provide(master.app, Neighbours(runs))
    page = master.get("/fleet/h2", "narrow").text
    assert '<a href="/runs/r1">uptime</a>' in page
    assert [name for _, name in asked] == ["h2"]
