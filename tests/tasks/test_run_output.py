"""The output of a run on its page and for open pages: by number, found, first error, cut, by whom."""

import html
import re
from collections.abc import Callable

import pytest

from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.options import OnOutputLimit, RunOptions
from quarterdeck.tasks.states import RunState
from tests.tasks.conftest import Api, Browser, Node, found

As = Callable[[str], Browser]


@pytest.fixture
def vera(as_: Callable[[str], Browser]) -> Browser:
    return as_("vera")


def shown(page: str) -> list[str]:
    """Return the text of the lines on a page."""
    texts = re.findall(r'<span class="line-text">(.*?)</span></div>', page)
    return [html.unescape(re.sub("<[^>]+>", "", text)) for text in texts]


def link(page: str, title: str) -> str:
    return html.unescape(found(rf'href="([^"]+)"[^>]*>(?:<svg.*?</svg>)?{title}', page))


def test_a_page_opens_at_the_end_and_links_to_what_is_earlier(vera: Browser, node: Node) -> None:
    run = node.run("seq 1 42000")
    page = vera.get(f"/runs/{run.id}").text
    assert shown(page) == [str(number) for number in range(41_501, 42_001)]
    assert "Lines 41,501 to 42,000 of 42,000" in page
    assert "Later lines" not in page
    assert len(page) < 200_000
    earlier = vera.get(link(page, "Earlier lines")).text
    assert shown(earlier) == [str(number) for number in range(41_001, 41_501)]
    assert shown(vera.get(link(earlier, "Later lines")).text)[-1] == "42000"


def test_a_line_has_an_address(vera: Browser, node: Node) -> None:
    run = node.run("seq 1 42000")
    page = vera.get(f"/runs/{run.id}?host=master&line=120").text
    assert re.search(r'class="line target" id="L120".*?>120</span></div>', page)
    assert shown(page)[0] == "70"
    assert f'href="/runs/{run.id}?host=master&amp;line=121#L121"' in page
    assert shown(vera.get(link(page, "Earlier lines")).text)[0] == "1"
    beyond = vera.get(f"/runs/{run.id}?host=master&line=99999999").text
    assert shown(beyond)[-1] == "42000"


@pytest.mark.parametrize("query", ["line=x", "line=-1", "from=1e9", "wrap=maybe", "stream=in", "hits=-3"])
def test_an_address_that_makes_no_sense_is_refused(query: str, vera: Browser, node: Node) -> None:
    run = node.run("true")
    assert vera.get(f"/runs/{run.id}?{query}").status_code == 422


def test_switches_are_in_the_address_and_stay_there(vera: Browser, node: Node) -> None:
    run = node.run("echo out; echo err >&2")
    page = vera.get(f"/runs/{run.id}?host=master&wrap=off&times=on&stream=err").text
    assert shown(page) == ["err"]
    assert 'class="log log-nowrap log-timed"' in page
    assert re.search(r'<time class="line-t" datetime="20\d\d-[^"]+\+00:00" title="20', page)
    assert re.search(r'role="switch" aria-checked="false" data-switch="wrap" href="[^"]*times=on', page)
    assert "wrap=off" in link(page, "stdout")
    assert "times=on" in link(page, "First error")


def test_lines_are_given_by_number(vera: Browser, node: Node) -> None:
    run = node.run(r"printf 'one\ntwo\n\033[31mthree\033[0m\nhal'; echo err >&2")
    path = f"/runs/{run.id}/lines?host=master"
    news = vera.get(f"{path}&from=2&count=1&stream=out").json
    assert [line[:2] for line in news["lines"]] == [["out", [["two", ""]]]]
    assert (news["first"], news["total"], news["open"], news["is_over"]) == (2, 3, [], True)
    news = vera.get(f"{path}&stream=out").json
    assert [line[:2] for line in news["lines"]][2] == ["out", [["three", "fg-1"]]]
    assert news["open"] == [["out", [["hal", ""]], 0]]
    assert vera.get(path).json["total"] == 4
    assert vera.get(f"{path}&from=99").json["lines"] == []


def test_hits_are_marked_where_they_are_shown(vera: Browser, node: Node) -> None:
    run = node.run(r"printf 'a \033[1mNee\033[0mdle here\n'")
    news = vera.get(f"/runs/{run.id}/lines?host=master&q=needle").json
    assert news["lines"][0][1] == [["a ", ""], ["Nee", "bold hit"], ["dle", "hit"], [" here", ""]]
    exact = vera.get(f"/runs/{run.id}/lines?host=master&q=needle&case=true").json
    assert "hit" not in str(exact["lines"])


def test_finding_tells_line_numbers(vera: Browser, node: Node) -> None:
    run = node.run("seq 1 30000")
    path = f"/runs/{run.id}/find?host=master"
    assert vera.get(f"{path}&q=29999").json == {"lines": [29_999], "next": None}
    first = vera.get(f"{path}&q=7").json
    assert (len(first["lines"]), first["lines"][:3]) == (1000, [7, 17, 27])
    assert vera.get(f"{path}&q=7&from={first['next']}").json["lines"][0] == first["next"]
    assert vera.get(f"{path}&q=none").json == {"lines": [], "next": None}
    assert vera.get(f"{path}&q=").status_code == 422
    assert vera.get(f"{path}&q={'x' * 201}").status_code == 422


def test_without_script_hits_are_a_list_of_links(vera: Browser, node: Node) -> None:
    run = node.run("seq 1 30000; echo '<b>777</b>'")
    page = vera.get(f"/runs/{run.id}?host=master&q=777").text
    assert "<b>777" not in page
    hits = re.findall(r'href="([^"]+)"><span class="line-n">(\d+)</span>', page)
    assert [number for _, number in hits][:3] == ["777", "1777", "2777"]
    target = vera.get(html.unescape(hits[1][0])).text
    assert re.search(r'target" id="L1777".*?<span class="line-text">1<span class="hit">777</span>', target)
    many = vera.get(f"/runs/{run.id}?host=master&q=9").text
    assert len(re.findall('"><span class="line-n">', many)) == 50
    further = vera.get(link(many, "Search on from line")).text
    assert "line-n" in further
    assert "No line has “nowhere”." in vera.get(f"/runs/{run.id}?host=master&q=nowhere").text


def test_the_first_error_is_a_link(vera: Browser, node: Node) -> None:
    run = node.run("seq 1 2000; echo 'Error: no space left'; echo done")
    path = f"/runs/{run.id}/first-error?host=master&times=on"
    answer = vera.get(path)
    assert answer.status_code == 303
    assert answer.location == f"/runs/{run.id}?host=master&times=on&line=2001#L2001"
    assert vera.get(path, headers={"Accept": "application/json"}).json == {"line": 2001, "next": None}
    fine = node.run("echo fine")
    answer = vera.get(f"/runs/{fine.id}/first-error?host=master")
    assert answer.location == f"/runs/{fine.id}?host=master&error=none#output"
    assert "No line looks like an error." in vera.get(answer.location).text


def test_what_is_beyond_the_cap_is_counted_and_not_kept(vera: Browser, node: Node) -> None:
    options = RunOptions(output_bytes=10_000, on_output_limit=OnOutputLimit.CUT)
    run = node.run("seq 1 20000; echo end >&2; exit 3", options=options)
    (host,) = node.parts.runs.list_hosts(run.id)
    assert (run.state, host.exit_status) == (RunState.FAILED, 3)
    assert (host.bytes, host.details["output_dropped"]) == (10_000, 108_894 + 4 - 10_000)
    assert node.output(run.id) == b"".join(b"%d\n" % number for number in range(1, 20_001))[:10_000]
    page = vera.get(f"/runs/{run.id}").text
    assert "Cut here: this run keeps 10.0 kB of a host’s output. 98.9 kB more came and were not kept." in page
    news = vera.get(f"/runs/{run.id}/lines?host=master").json
    assert news["cut"].startswith("Cut here")


def test_a_command_beyond_the_cap_is_ended_unless_it_is_to_be_cut(vera: Browser, node: Node) -> None:
    run = node.run("yes", options=RunOptions(output_bytes=100_000))
    (host,) = node.parts.runs.list_hosts(run.id)
    assert run.state is RunState.FAILED
    assert "It printed more than 100 kB and was stopped." in host.message
    assert (host.bytes, host.gone) == (100_000, True)
    assert 'class="log-cut"' not in vera.get(f"/runs/{run.id}").text


def test_output_just_as_long_as_the_cap_is_whole(vera: Browser, node: Node) -> None:
    for limit in OnOutputLimit:
        run = node.run(
            f"printf 1234567890%.0s $(seq 1 200) # {limit}",
            options=RunOptions(output_bytes=2000, on_output_limit=limit),
        )
        assert run.state is RunState.SUCCEEDED
        assert node.output(run.id) == b"1234567890" * 200
        assert 'class="log-cut"' not in vera.get(f"/runs/{run.id}").text


@pytest.mark.parametrize(
    "what", ["lines?host=master", "find?host=master&q=a", "first-error?host=master", "output?host=master"]
)
def test_output_is_for_those_who_may_read_runs(
    what: str, as_: As, api_as: Callable[[str], Api], node: Node
) -> None:
    run = node.run("echo a")
    path = f"/runs/{run.id}/{what}"
    assert as_("vera").get(path).status_code in (200, 303)
    assert as_("nils").get(path).status_code == 403
    assert as_("").get(path).status_code == 303
    assert as_("vera").get(path.replace("master", "elsewhere")).status_code == 404
    assert as_("vera").get(path.replace("master", "../../x")).status_code == 404
    assert as_("vera").get(path.replace(run.id, "0" * 26)).status_code == 404


def test_hostile_output_is_text_in_the_page_and_in_json(vera: Browser, node: Node) -> None:
    run = node.run(
        r"printf '\033]8;;javascript:alert(1)\033\\click\033]8;;\033\\ \000\342\200\256\377<img src=x>\n'"
    )
    page = vera.get(f"/runs/{run.id}?q=click").text
    assert "javascript:" not in page.partition('id="output"')[2].partition('class="api-hint"')[0]
    assert "click ␀‹U+202E›\ufffd<img src=x>" in shown(page)
    assert "<img src=x" not in page
    news = vera.get(f"/runs/{run.id}/lines?host=master").json
    assert news["lines"][0][1] == [["click ␀‹U+202E›\ufffd<img src=x>", ""]]


def test_the_index_of_lines_may_vanish(vera: Browser, node: Node) -> None:
    run = node.run("seq 1 42000")
    path = node.parts.runs.output.path(run.id, "master", Stream.OUT).with_suffix(".lines")
    path.unlink()
    assert shown(vera.get(f"/runs/{run.id}?host=master&line=21000").text)[50] == "21000"
    assert path.exists()
