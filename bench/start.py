"""Start-up: seconds from the command to the first page, and the memory of master and worker.

Each round starts `quarterdeck up` on a home that has been started before, waits for the sign-in page and for
the worker, lets both rest for two seconds and reads their resident memory. Prints one JSON object.
"""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

ROUNDS = 5
MASTER, WORKER = "http://127.0.0.1:5960", "http://127.0.0.1:5961"


def answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url).status_code == 200
    return False


def seconds_until(url: str, began: float) -> float:
    while not answers(url):
        if time.monotonic() - began > 30:
            sys.exit(f"{url} did not answer within 30 s")
    return time.monotonic() - began


def one_round(home: Path) -> dict[str, float]:
    """Start, look, stop; seconds and megabytes (10^6 bytes)."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
        "QUARTERDECK_HOME": str(home),
        "QUARTERDECK_BIND": MASTER.removeprefix("http://"),
        "QUARTERDECK_WORKER_BIND": WORKER.removeprefix("http://"),
    }
    began = time.monotonic()
    command = [Path(sys.executable).with_name("quarterdeck"), "up"]
    with (home.parent / "up.log").open("ab") as log:
        up = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    page = seconds_until(f"{MASTER}/sign-in", began)
    worker = seconds_until(f"{WORKER}/healthz", began)
    rest = time.monotonic() + 2
    while time.monotonic() < rest:
        answers(f"{MASTER}/healthz")
    memory = {
        "/".join(child.cmdline()): child.memory_info().rss / 1e6
        for child in psutil.Process(up.pid).children()
    }
    sizes = sorted(memory.values())
    stopping = time.monotonic()
    up.send_signal(signal.SIGTERM)
    up.wait(10)
    return {
        "first_page_seconds": page,
        "worker_seconds": worker,
        "master_megabytes": sizes[-1],
        "worker_megabytes": sizes[0],
        "stop_seconds": time.monotonic() - stopping,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        first = one_round(home)
        rounds = [one_round(home) for _ in range(ROUNDS)]
    medians = {name: round(statistics.median(each[name] for each in rounds), 2) for name in first}
    print(
        json.dumps(
            medians | {"rounds": ROUNDS, "very_first_page_seconds": round(first["first_page_seconds"], 2)}
        )
    )


if __name__ == "__main__":
    main()
