"""The output of a run in a browser: scrolling, finding, switches, copying, following; also without script."""

import re
import secrets

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import OpenPage, Seeded
from tests.browser.looking import faults_of, findings
from tests.deck import Deck

PRINTED = (
    r"""awk 'BEGIN { for (i = 1; i <= 42000; i++) printf "%s request %d%s\n", """
    r"""(i % 7) ? "DEBUG" : "\033[32mINFO\033[0m", i, (i % 10000 == 77) ? " needle" : "" }'; """
    "echo 'Error: no space left'; echo oops >&2"
)
TOTAL = 42_002
LOG = ".log"


def start(deck: Deck, command: str, **more: object) -> str:
    once = f"{command} # {secrets.token_hex(4)}"  # a test that is tried again must not meet its first run
    body = {"task": {"kind": "command", "command": once}, "hosts": ["master"], **more}
    started = deck.api("POST", "/api/v1/runs", json=body)
    assert started.status_code == 201, started.text
    id_: str = started.json()["id"]
    return id_


@pytest.fixture(scope="session")
def long_run(seeded: Seeded) -> str:
    """The address of a run that printed 42,002 lines, the last two of them faults."""
    run = seeded.deck.run(task={"kind": "command", "command": PRINTED}, hosts=["master"])
    return f"/runs/{run['id']}"


def line(page: Page, number: int) -> Locator:
    return page.locator(f"#L{number}")


def expect_at_end(page: Page, least: int) -> None:
    """Wait until a line of at least this number is there, and the last one is in sight."""
    page.wait_for_function(
        """([log, least]) => {
            const last = [...document.querySelectorAll(".log-block .line")].at(-1);
            const number = Number(last?.id.slice(1));
            const box = document.querySelector(log).getBoundingClientRect();
            return number >= least && last.getBoundingClientRect().top < box.bottom;
        }""",
        arg=[LOG, least],
    )


def number_at_top(page: Page) -> int:
    """Return the number of the first line in view."""
    number: int = page.evaluate(
        """() => {
            const top = document.querySelector(".log").getBoundingClientRect().top;
            const lines = [...document.querySelectorAll(".log-block .line")];
            const first = lines.find((line) => line.getBoundingClientRect().bottom > top + 1);
            return Number(first.querySelector(".line-n").textContent);
        }"""
    )
    return number


def scroll_to(page: Page, top: int) -> None:
    page.locator(LOG).evaluate("(log, top) => { log.scrollTop = top; }", top)


def test_a_page_opens_at_the_last_line(open_page: OpenPage, long_run: str) -> None:
    page = open_page(long_run)
    expect(line(page, TOTAL)).to_be_in_viewport()
    expect(page.locator(".log-where")).to_have_text("Lines 41,503 to 42,002 of 42,002")
    expect(page.get_by_role("button", name="To the end")).to_be_hidden()
    assert faults_of(page) == []


def test_scrolling_up_loads_what_is_earlier_and_keeps_the_place(open_page: OpenPage, long_run: str) -> None:
    page = open_page(long_run)
    expect(line(page, TOTAL)).to_be_in_viewport()
    before = 41_503
    for _ in range(3):
        scroll_to(page, 200)
        seen = number_at_top(page)
        expect(line(page, before - 500)).to_be_attached()
        assert abs(number_at_top(page) - seen) <= 1
        before -= 500
    expect(page.locator(".log-where")).to_have_text("Lines 40,003 to 42,002 of 42,002")


def test_far_scrolling_keeps_the_page_small_and_comes_back(open_page: OpenPage, long_run: str) -> None:
    page = open_page(f"{long_run}?host=master&line=20000#L20000")
    expect(line(page, 20_000)).to_be_in_viewport()
    for _ in range(22):
        first = int(page.locator(".log-block").first.get_attribute("data-first") or 0)
        scroll_to(page, 100)
        page.wait_for_function(
            "first => Number(document.querySelector('.log-block').dataset.first) < first", arg=first
        )
    assert page.locator(".log-block").count() <= 86
    expect(line(page, 20_100)).not_to_be_attached()
    page.get_by_role("button", name="To the end").click()
    expect(line(page, TOTAL)).to_be_in_viewport()
    page.locator(LOG).focus()
    page.keyboard.press("Home")
    expect(line(page, 1)).to_be_in_viewport()
    page.keyboard.press("End")
    expect(line(page, TOTAL)).to_be_in_viewport()


def test_scrolling_down_loads_what_is_later(open_page: OpenPage, long_run: str) -> None:
    page = open_page(f"{long_run}?host=master&from=1")
    expect(line(page, 1)).to_be_in_viewport()
    for last in (500, 1000, 1500):
        line(page, last).scroll_into_view_if_needed()
        expect(line(page, last + 500)).to_be_attached()


def test_a_link_leads_to_a_line(open_page: OpenPage, long_run: str) -> None:
    page = open_page(f"{long_run}?host=master&line=120#L120")
    expect(line(page, 120)).to_be_in_viewport()
    expect(line(page, 120)).to_have_class(re.compile("target"))
    line(page, 125).locator("a.line-n").click()
    expect(line(page, 125)).to_have_class(re.compile("target"))
    expect(page.locator(".target")).to_have_count(1)
    assert page.url.endswith("?host=master&line=125#L125")
    page.reload()
    expect(line(page, 125)).to_have_class(re.compile("target"))
    page.evaluate("location.hash = '#L30000'")
    expect(line(page, 30_000)).to_have_class(re.compile("target"))
    expect(line(page, 30_000)).to_be_in_viewport()


def test_finding_walks_from_hit_to_hit(open_page: OpenPage, long_run: str) -> None:
    page = open_page(long_run)
    field = page.get_by_label("Find in the output")
    field.fill("NEEDLE")
    field.press("Enter")
    told = page.locator(".log-found")
    expect(told).to_have_text("1 of 5 lines")
    expect(line(page, 77).locator(".hit")).to_have_text("needle")
    expect(line(page, 77)).to_be_in_viewport()
    field.press("Enter")
    expect(told).to_have_text("2 of 5 lines")
    expect(line(page, 10_077)).to_be_in_viewport()
    field.press("Shift+Enter")
    field.press("Shift+Enter")
    expect(told).to_have_text("5 of 5 lines")
    expect(line(page, 40_077)).to_be_in_viewport()
    field.press("Escape")
    page.keyboard.press("n")
    expect(told).to_have_text("1 of 5 lines")
    page.keyboard.press("Shift+N")
    expect(told).to_have_text("5 of 5 lines")
    assert "q=NEEDLE" in page.url
    page.get_by_label("Match case").check(force=True)
    expect(told).to_have_text("Not found")
    field.fill("")
    field.press("Enter")
    expect(page.locator(".hit")).to_have_count(0)
    assert faults_of(page) == []


def test_the_first_error_is_a_key_away(open_page: OpenPage, long_run: str) -> None:
    page = open_page(f"{long_run}?host=master&from=1")
    page.locator("body").press("e")
    expect(line(page, 42_001)).to_have_class(re.compile("target"))
    expect(line(page, 42_001)).to_be_in_viewport()


def test_no_error_is_told(open_page: OpenPage, seeded: Seeded) -> None:
    run = seeded.deck.run(task={"kind": "command", "command": "echo all is well"}, hosts=["master"])
    page = open_page(f"/runs/{run['id']}")
    page.get_by_role("link", name="First error").click()
    expect(page.get_by_text("No line looks like an error.")).to_be_visible()


def test_switches_work_in_place_and_stand_in_the_address(open_page: OpenPage, long_run: str) -> None:
    page = open_page(f"{long_run}?host=master&line=120#L120")
    page.evaluate("document.body.dataset.stays = 'yes'")
    wrap, times = page.get_by_role("switch", name="Wrap"), page.get_by_role("switch", name="Times")
    times.click()
    expect(times).to_be_checked()
    stamp = line(page, 120).locator("time")
    expect(stamp).to_be_visible()
    assert re.match(r"20\d\d-\d\d-\d\dT[\d:.]+Z", stamp.get_attribute("title") or "")
    wrap.press(" ")
    expect(wrap).not_to_be_checked()
    expect(page.locator(LOG)).to_have_class(re.compile("log-nowrap"))
    assert "times=on" in page.url
    assert "wrap=off" in page.url
    assert page.evaluate("document.body.dataset.stays") == "yes"
    page.get_by_role("link", name="stderr", exact=True).click()
    expect(page.locator(".log-block .line")).to_have_count(1)
    expect(page.get_by_role("switch", name="Times")).to_be_checked()
    expect(line(page, 1).locator("time")).to_be_visible()


def test_copied_text_has_no_numbers_times_or_marks(open_page: OpenPage, long_run: str) -> None:
    page = open_page(f"{long_run}?host=master&times=on")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(line(page, TOTAL)).to_be_in_viewport()
    page.evaluate(
        """([first, last]) => getSelection().setBaseAndExtent(
            document.querySelector(first), 0, document.querySelector(last).nextElementSibling
                ?? document.querySelector(last), 4)""",
        ["#L41999", f"#L{TOTAL}"],
    )
    page.keyboard.press("Control+c")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip().splitlines() == [
        "DEBUG request 41999",
        "INFO request 42000",
        "Error: no space left",
        "oops",
    ]


def test_a_running_output_is_followed_and_let_go(open_page: OpenPage, seeded: Seeded) -> None:
    run = start(seeded.deck, "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo tick $i; sleep 0.05; done")
    page = open_page(f"/runs/{run}")
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")
    expect_at_end(page, 60)
    scroll_to(page, 0)
    expect(follow).to_have_attribute("aria-pressed", "false")
    top = number_at_top(page)
    more = page.get_by_role("button", name=re.compile(r"\d+ new lines"))
    expect(more).to_be_visible()
    assert number_at_top(page) == top
    more.click()
    expect(follow).to_have_attribute("aria-pressed", "true")
    last = int(page.locator(".log-block .line-n").last.inner_text())
    expect_at_end(page, last + 20)
    page.locator("body").press("f")
    expect(follow).to_have_attribute("aria-pressed", "false")
    seeded.deck.api("POST", f"/api/v1/runs/{run}/cancel")
    expect(page.locator('.run-state [data-state="cancelled"]')).to_be_visible()
    numbers = page.locator(".log-block .line-n").all_inner_texts()
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))


def test_a_scroll_that_nobody_made_does_not_let_go(open_page: OpenPage, seeded: Seeded) -> None:
    run = start(seeded.deck, "seq 1 300; sleep 300")
    page = open_page(f"/runs/{run}")
    expect_at_end(page, 300)
    # Lines above turn out higher than the browser had estimated, and it tells of a scroll.
    page.locator(LOG).evaluate(
        """log => {
            for (const line of log.querySelectorAll(".line")) line.style.paddingBottom = "3px";
            log.dispatchEvent(new Event("scroll"));
        }"""
    )
    expect_at_end(page, 300)
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")
    seeded.deck.api("POST", f"/api/v1/runs/{run}/cancel")


def test_a_late_answer_shows_no_line_twice(open_page: OpenPage, seeded: Seeded) -> None:
    run = start(seeded.deck, "for i in $(seq 1 3000); do echo tick $i; sleep 0.05; done")
    page = open_page("/")
    late: list[Route] = []
    page.route(re.compile(r"/lines\?.*from="), lambda route: late.append(route))
    with page.expect_request(re.compile(r"/lines\?.*from=")):  # it catches up, and gets no answer yet
        page.goto(f"/runs/{run}")
    page.wait_for_function("() => document.querySelector('q-log').total > 60")
    follow = page.get_by_role("button", name="Follow")
    follow.click()
    follow.click()  # to the end by another way than the one that waits
    expect_at_end(page, 60)
    with page.expect_response(re.compile(r"/lines\?.*from=")):
        late[0].continue_()
    page.unroute_all()
    expect_at_end(page, 100)
    seeded.deck.api("POST", f"/api/v1/runs/{run}/cancel")
    expect(page.locator('.run-state [data-state="cancelled"]')).to_be_visible()
    numbers = page.locator(".log-block .line-n").all_inner_texts()
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))


def test_a_selection_stays_while_lines_come(open_page: OpenPage, seeded: Seeded) -> None:
    run = start(seeded.deck, "for i in $(seq 1 400); do echo tock $i; sleep 0.05; done")
    page = open_page(f"/runs/{run}")
    expect(line(page, 5)).to_be_attached()
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#L3 .line-text'))")
    expect(line(page, 40)).to_be_attached()
    assert page.evaluate("getSelection().toString()") == "tock 3"
    seeded.deck.api("POST", f"/api/v1/runs/{run}/cancel")


def test_a_progress_bar_moves_in_its_place(open_page: OpenPage, seeded: Seeded) -> None:
    command = (
        r"echo begin; for i in $(seq 1 60); do printf '\r%3d of 60' $i; sleep 0.1; done; printf '\ndone\n'"
    )
    page = open_page(f"/runs/{start(seeded.deck, command)}")
    bar = page.locator(".log-open .line-text")
    expect(bar).to_have_text(re.compile(r"^\s*\d+ of 60$"))
    seen = bar.inner_text()
    expect(bar).not_to_have_text(seen)
    expect(line(page, 3).locator(".line-text")).to_have_text("done")
    expect(line(page, 2).locator(".line-text")).to_have_text(" 60 of 60", use_inner_text=True)
    expect(page.locator(".log .line")).to_have_count(3)


def test_a_page_that_is_behind_says_so(open_page: OpenPage, seeded: Seeded) -> None:
    page = open_page(f"/runs/{seeded.running_id}")
    expect(line(page, 1)).to_be_visible()
    expect(page.get_by_role("button", name="Follow")).to_be_visible()  # it listens now

    def news(seconds_ago: int) -> None:
        page.evaluate(
            """([run, ago]) => document.body.dispatchEvent(new CustomEvent("live:run:output", { detail: {
                run, sent: Date.now() - ago * 1000,
                hosts: [{ host: "web1", first: [1, 0], lines: [], open: [] }] } }))""",
            [seeded.running_id, seconds_ago],
        )

    news(0)
    expect(page.locator(".log-lag")).to_be_hidden()
    news(4)
    expect(page.get_by_text("4 s behind")).to_be_visible()
    news(0)
    expect(page.locator(".log-lag")).to_be_hidden()


def test_missing_lines_are_fetched_in_order(open_page: OpenPage, seeded: Seeded) -> None:
    run = start(seeded.deck, "seq 1 50; sleep 300")
    page = open_page(f"/runs/{run}")
    expect(line(page, 50)).to_be_visible()
    expect(page.get_by_role("button", name="Follow")).to_be_visible()  # it listens now
    # A message that is ahead of the page: what it carries must not be shown before what is missing.
    page.evaluate(
        """run => document.body.dispatchEvent(new CustomEvent("live:run:output", { detail: { run,
            sent: Date.now(), hosts: [{ host: "master", first: [60, 0], open: [],
            lines: [["out", [["from the future", ""]], 0]] }] } }))""",
        run,
    )
    page.wait_for_timeout(500)
    assert page.get_by_text("from the future").count() == 0
    assert page.locator(".log-block .line").count() == 50
    seeded.deck.api("POST", f"/api/v1/runs/{run}/cancel")


def test_a_cut_output_says_so(open_page: OpenPage, seeded: Seeded) -> None:
    options = {"output_bytes": 2000, "on_output_limit": "cut"}
    run = start(seeded.deck, "sleep 1; seq 1 5000; sleep 3", options=options)
    page = open_page(f"/runs/{run}")
    expect(page.get_by_text("Cut here: this run keeps 2.0 kB")).to_be_visible()
    expect(page.locator('.run-state [data-state="succeeded"]')).to_be_visible()
    expect(page.get_by_text(re.compile(r"\. 21\.\d kB more came and were not kept\."))).to_be_visible()


def test_keys_are_off_where_shortcuts_are(open_page: OpenPage, long_run: str) -> None:
    page = open_page("/help/keyboard")
    page.get_by_role("button", name="Turn them off").click()
    page.get_by_role("heading", name="Single-key shortcuts are off").wait_for()
    page.goto(long_run)
    expect(line(page, TOTAL)).to_be_in_viewport()
    for key in ("k", "k", "k", "e"):
        page.locator("body").press(key)
    expect(line(page, TOTAL)).to_be_in_viewport()
    expect(page.locator(".target")).to_have_count(0)
    page.goto("/help/keyboard")
    page.get_by_role("button", name="Turn them on").click()


def test_keys_in_a_field_are_text(open_page: OpenPage, long_run: str) -> None:
    page = open_page(long_run)
    field = page.get_by_label("Find in the output")
    field.press_sequentially("fenN jk")
    expect(field).to_have_value("fenN jk")
    expect(line(page, TOTAL)).to_be_in_viewport()


def test_without_script_all_of_it_is_reached_by_links(open_page: OpenPage, long_run: str) -> None:
    page = open_page(long_run, script=False)
    page.get_by_role("link", name="Earlier lines").click()
    expect(line(page, 41_003)).to_be_attached()
    page.get_by_role("link", name="Later lines").click()
    expect(line(page, TOTAL)).to_be_attached()
    page.get_by_label("Find in the output").fill("needle")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name=re.compile("20077")).click()
    expect(line(page, 20_077)).to_be_in_viewport()
    expect(line(page, 20_077).locator(".hit")).to_have_text("needle")
    page.get_by_role("switch", name="Times").click()
    expect(page.locator("time.line-t").first).to_be_visible()
    page.get_by_role("link", name="First error").click()
    expect(line(page, 42_001)).to_be_in_viewport()
    page.get_by_role("link", name="stderr", exact=True).click()
    expect(page.locator(".log .line")).to_have_text(re.compile("oops"))


@pytest.mark.parametrize(
    "query", ["", "?host=master&q=needle&times=on", "?host=master&line=120&wrap=off#L120"]
)
def test_an_output_has_no_findings(query: str, look: OpenPage, long_run: str) -> None:
    page = look(f"{long_run}{query}")
    expect(page.locator(".log-block .line").first).to_be_attached()
    if "q=" in query:
        expect(page.locator(".log-found")).to_have_text(re.compile("5 lines"))
    assert findings(page) == []
    assert faults_of(page) == []


def test_an_empty_and_a_cut_output_have_no_findings(open_page: OpenPage, seeded: Seeded) -> None:
    for command, limit in (("true", 2000), ("seq 1 1000; echo x >&2", 1024)):
        options = {"output_bytes": limit, "on_output_limit": "cut"}
        run = seeded.deck.run(
            task={"kind": "command", "command": command},
            hosts=["master"],
            options=options,
            force=True,
            reason="again",
        )
        assert findings(open_page(f"/runs/{run['id']}")) == []
