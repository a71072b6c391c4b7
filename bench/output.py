"""The output of runs: its page, far places in it, finding, and 100 viewers of 5,000 lines a second.

A whole installation runs in processes of its own. Commands print on the master's machine: 42,000 lines,
then 1 GB in lines of 64 bytes. Server times are those of a client on the same machine, medians; Chromium's
is from the click to the last line being in view, where Chromium is there. The viewers are one more process,
which speaks engine.io's frames by hand; a delay is from before the print to the arrival of the frame, of
the oldest and of the newest line of each message. One of the viewers also takes every line, fetches what
is missing, and counts. Prints JSON.
"""

import argparse
import asyncio
import json
import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import uvloop

from quarterdeck.core.live.service import CONSOLE
from tests.deck import Deck, running_deck, wait_until

HOST: Final = "master"
LINE: Final = "x" * 63
PRINTER: Final = """
import sys, time
rate, seconds, tick = {rate}, {seconds}, 0.01
began, done = time.monotonic(), 0
while done < rate * seconds:
    due = min(int((time.monotonic() - began) * rate), rate * seconds)
    now = time.monotonic_ns()
    sys.stdout.write("".join("t=%d n=%d {filling}\\n" % (now, n) for n in range(done, due)))
    sys.stdout.flush()
    done = due
    time.sleep(tick)
"""


def start(deck: Deck, command: str) -> str:
    body = {
        "task": {"kind": "command", "command": command},
        "hosts": [HOST],
        "force": True,
        "reason": "bench",
    }
    started = deck.api("POST", "/api/v1/runs", json=body)
    assert started.status_code == 201, started.text
    id_: str = started.json()["id"]
    return id_


def end_of(deck: Deck, run: str) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = deck.api("GET", f"/api/v1/runs/{run}?wait=60").json()
        if found["finished_at"]:
            assert found["state"] == "succeeded", found
            return found


def timed_ms(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the first and the median time of some rounds."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return round(times[0], 1), round(statistics.median(times), 1)


def asked(deck: Deck, path: str) -> Any:  # Any: JSON
    answer = deck.api("GET", path)
    assert answer.status_code == 200, answer.text
    return answer.json() if "json" in answer.headers["content-type"] else answer.text


def search(deck: Deck, path: str) -> list[int]:
    """Search to the end, as the page does."""
    lines: list[int] = []
    following: int | None = 1
    while following:
        found = asked(deck, f"{path}&from={following}")
        lines += found["lines"]
        following = found["next"]
    return lines


def master_of(deck: Deck) -> psutil.Process:
    assert deck.process is not None
    for child in psutil.Process(deck.process.pid).children(recursive=True):
        if any(each.laddr.port == deck.port for each in child.net_connections() if each.status == "LISTEN"):
            return child
    raise AssertionError("no master runs")


def cpu_ms(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2])) * 1000


# --- pages and places ---


def measure_page(deck: Deck, run: str, browser: "Chromium | None") -> dict[str, Any]:
    first, median = timed_ms(lambda: asked(deck, f"/runs/{run}"), 15)
    figures: dict[str, Any] = {"page_first_ms": first, "page_ms": median}
    if browser is not None:
        figures["chromium_ms"] = browser.first_screen_ms(f"/runs/{run}")
    return figures


def measure_long(deck: Deck, run: str, total: int, browser: "Chromium | None") -> dict[str, Any]:
    figures = measure_page(deck, run, browser)
    lines = f"/runs/{run}/lines?host={HOST}"
    figures["block_in_the_middle_ms"] = timed_ms(lambda: asked(deck, f"{lines}&from={total // 2}"), 9)[1]
    master = master_of(deck)
    before = cpu_ms(master)
    figures["find_absent_ms"] = timed_ms(lambda: search(deck, f"/runs/{run}/find?host={HOST}&q=absent"), 3)[1]
    figures["find_absent_cpu_ms"] = round((cpu_ms(master) - before) / 3)
    hits = f"/runs/{run}/find?host={HOST}&q=marked"
    assert search(deck, hits) == [total // 2, total]
    errors = f"/runs/{run}/first-error?host={HOST}"

    def look_for_error() -> None:
        found = json_of(deck, errors)
        while found["next"]:
            found = json_of(deck, f"{errors}&from={found['next']}")
        assert found["line"] == total, found

    figures["first_error_at_the_end_ms"] = timed_ms(look_for_error, 3)[1]
    index = deck.home / "runs" / run / f"{HOST}.lines"
    figures["index_kb"] = round(index.stat().st_size / 1024)
    index.unlink()
    figures["page_after_index_was_deleted_ms"] = timed_ms(lambda: asked(deck, f"/runs/{run}"), 1)[0]
    return figures


def json_of(deck: Deck, path: str) -> Any:  # Any: JSON
    return deck.api("GET", path, headers={"Accept": "application/json"}).json()


class Chromium:
    """A signed-in page; absent where Playwright or Chromium is."""

    def __init__(self, deck: Deck, browser: Any) -> None:  # Any: Playwright is not a dependency of the bench
        self._context = browser.new_context(base_url=deck.url, viewport={"width": 1280, "height": 900})
        page = self._context.new_page()
        page.goto("/sign-in")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: not url.endswith("/sign-in"))
        self._page = page

    def first_screen_ms(self, path: str) -> float:
        """Return the time until the last line is in view, in the browser's own clock; the median of some."""
        times = []
        for _ in range(7):
            self._page.goto("/help/keyboard")
            self._page.goto(path, wait_until="commit")
            self._page.wait_for_function(IN_VIEW, polling="raf")
            times.append(self._page.evaluate("globalThis.inView"))
        return round(statistics.median(times), 1)


IN_VIEW: Final = """() => {
    const log = document.querySelector(".log");
    const last = log && [...log.querySelectorAll(".line")].at(-1);
    const isIn = last && last.getBoundingClientRect().bottom <= log.getBoundingClientRect().bottom + 1;
    return isIn && (globalThis.inView ??= performance.now());
}"""


@contextmanager
def chromium(deck: Deck) -> Iterator[Chromium | None]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        yield None
        return
    path = shutil.which("chromium")
    if path is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield Chromium(deck, browser)
        browser.close()


# --- viewers ---


@dataclass
class Seen:
    """What all viewers have seen together."""

    oldest_ns: list[int] = field(default_factory=list)
    newest_ns: list[int] = field(default_factory=list)
    messages: int = 0
    gaps: int = 0


class Viewer(asyncio.Protocol):
    """A client that knows just as much WebSocket, engine.io and socket.io as the measurement needs."""

    def __init__(self, deck: Deck, rooms: list[str], seen: Seen) -> None:
        self._deck, self._rooms, self._seen = deck, rooms, seen
        self._buffer = bytearray()
        self._is_open = False
        self._have = 0
        self.on_news: Callable[[bytes], None] | None = None
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a stream's
        self._transport.write(
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{self._deck.port}\r\n"
            f"Authorization: Bearer {self._deck.token}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        if not self.joined.done():
            self.joined.set_exception(error or ConnectionError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._is_open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert b" 101 " in self._buffer[:end], self._buffer
            self._is_open = True
            del self._buffer[: end + 4]
        while (payload := self._frame()) is not None:
            self._take(payload)

    def _frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        more = {126: 2, 127: 8}.get(buffer[1], 0)
        if len(buffer) < 2 + more:
            return None
        length = int.from_bytes(buffer[2 : 2 + more]) if more else buffer[1]
        end = 2 + more + length
        if len(buffer) < end:
            return None
        payload = bytes(buffer[2 + more : end])
        del buffer[:end]
        return payload

    def _take(self, payload: bytes) -> None:
        if payload.startswith(b'42/console,["run:output"'):
            self._note(payload)
        elif payload == b"2":
            self._send("3")
        elif payload.startswith(b"0"):
            self._send(f"40{CONSOLE},")
        elif payload.startswith(b"40"):
            for number, room in enumerate(self._rooms):
                self._send(f"42{CONSOLE},{number}" + json.dumps(["room:join", {"room": room}]))
        elif payload.startswith(b"43/console") and f",{len(self._rooms) - 1}[" in payload[:20].decode():
            self.joined.set_result(None)

    def _note(self, payload: bytes) -> None:
        now = time.monotonic_ns()
        self._seen.messages += 1
        for place, delays in (
            (payload.find(b"t="), self._seen.oldest_ns),
            (payload.rfind(b"t="), self._seen.newest_ns),
        ):
            if place >= 0:
                delays.append(now - int(payload[place + 2 : payload.index(b" ", place)]))
        if self.on_news is not None:
            self.on_news(payload)

    def _send(self, text: str) -> None:
        payload = text.encode()
        assert len(payload) < 65536
        length = len(payload)
        head = [0x81, 0x80 | length] if length < 126 else [0x81, 0xFE, *length.to_bytes(2)]
        self._transport.write(bytes([*head, 0, 0, 0, 0]) + payload)  # masked with zeros

    def close(self) -> None:
        self._transport.close()


class Counter:
    """Takes every line as a page does: in order, what is missing by a fetch."""

    def __init__(self, deck: Deck, run: str) -> None:
        self._deck, self._run = deck, run
        self.have = self.fetches = 0
        self._numbers: list[int] = []

    def take(self, payload: bytes) -> None:
        _, news = json.loads(payload.partition(b",")[2])
        for part in news["hosts"]:
            first = sum(part["first"])
            if first > self.have:
                self._fetch(first)
            for line in part["lines"][self.have - first :]:
                self._note(line)

    def _fetch(self, until: int) -> None:
        self.fetches += 1
        while self.have < until:
            path = f"/runs/{self._run}/lines?host={HOST}&from={self.have + 1}&count=1000"
            for line in asked(self._deck, path)["lines"]:
                self._note(line)

    def _note(self, line: list[Any]) -> None:
        text = "".join(piece for piece, _ in line[1])
        self._numbers.append(int(text.partition("n=")[2].partition(" ")[0]))
        self.have += 1

    def check(self, total: int) -> None:
        self._fetch(total)
        assert self._numbers == list(range(total)), "lines were lost, repeated or reordered"


async def measure_viewers(deck: Deck, viewers: int, rate: int, seconds: int) -> dict[str, Any]:
    gate = deck.home / "go"
    printer = PRINTER.format(rate=rate, seconds=seconds, filling="." * 60)
    # The command waits until everybody looks.
    run = start(deck, f"while [ ! -e {gate} ]; do sleep 0.1; done; exec python3 -c '{printer}'")
    seen, opened = Seen(), []
    rooms = [f"run:{run}", f"output:{run}/{HOST}"]
    loop = asyncio.get_running_loop()
    for _ in range(viewers):
        _, viewer = await loop.create_connection(lambda: Viewer(deck, rooms, seen), "127.0.0.1", deck.port)
        await viewer.joined
        opened.append(viewer)
    counter, payloads = Counter(deck, run), []  # type: tuple[Counter, list[bytes]]
    opened[0].on_news = payloads.append
    master = master_of(deck)
    before = cpu_ms(master)
    gate.touch()
    await asyncio.sleep(seconds)
    used = cpu_ms(master) - before
    async with httpx.AsyncClient(
        base_url=deck.url, headers={"Authorization": f"Bearer {deck.token}"}
    ) as client:
        while not (await client.get(f"/api/v1/runs/{run}?wait=5", timeout=30)).json()["finished_at"]:
            pass
    await asyncio.sleep(0.5)
    for viewer in opened:
        viewer.close()
    gate.unlink()
    await asyncio.to_thread(count_all, counter, payloads, rate * seconds)
    return {
        "viewers": viewers,
        "lines_per_second": rate,
        "oldest_line_p50_ms": percentile(seen.oldest_ns, 50),
        "oldest_line_p95_ms": percentile(seen.oldest_ns, 95),
        "newest_line_p50_ms": percentile(seen.newest_ns, 50),
        "newest_line_p95_ms": percentile(seen.newest_ns, 95),
        "messages_per_second_and_viewer": round(seen.messages / viewers / seconds, 1),
        "master_cpu_percent": round(used / seconds / 10, 1),
        "fetches_of_one_viewer": counter.fetches,
    }


def count_all(counter: Counter, payloads: list[bytes], total: int) -> None:
    for payload in payloads:
        counter.take(payload)
    counter.check(total)


def percentile(values: list[int], percent: int) -> float:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100))] / 1e6, 1)


def main(megabytes: int, viewers: int, rate: int, seconds: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"load_average": round(psutil.getloadavg()[0], 1)}
    with tempfile.TemporaryDirectory() as folder, running_deck(Path(folder) / "home") as deck:
        master = master_of(deck)
        figures["master_mb_at_start"] = round(master.memory_info().rss / 2**20, 1)
        with chromium(deck) as browser:
            run = start(deck, "seq 1 42000")
            end_of(deck, run)
            figures["42,000_lines"] = measure_page(deck, run, browser)
            half = megabytes * 1_000_000 // 128
            repeat = f"yes {LINE} | head -n {half - 1}"
            began, before = time.perf_counter(), cpu_ms(master)
            run = start(deck, f"{repeat}; echo marked; {repeat}; echo marked error")
            end_of(deck, run)
            figures["long"] = {
                "megabytes": megabytes,
                "lines": 2 * half,
                "printed_and_kept_in_s": round(time.perf_counter() - began, 1),
                "master_cpu_s": round((cpu_ms(master) - before) / 1000, 1),
            }
            figures["long"] |= measure_long(deck, run, 2 * half, browser)
        figures["master_mb_after_that"] = round(master.memory_info().rss / 2**20, 1)
        figures["live"] = uvloop.run(measure_viewers(deck, viewers, rate, seconds))
        wait_until(deck.is_ready, "the master to be well")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=int, default=15)
    print(json.dumps(main(**vars(parser.parse_args())), indent=2))
