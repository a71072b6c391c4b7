"""Start-up: seconds from the command to the first page, and the memory of master and worker.

Installed as people install it: where packages of developers are there, libraries load them, and take more
time and memory. Each round starts `quarterdeck up` on a home that has been started before, waits for the
sign-in page and for the worker, lets both rest for two seconds and reads their resident memory. Prints one
JSON object.
"""

import contextlib
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

ROUNDS = 5
MASTER, WORKER = 5960, 5961
ROOT = Path(__file__).parents[1]


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.suppress(OSError), contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status == 200
    return False


def seconds_until(port: int, path: str, began: float) -> float:
    """Wait for the first good answer, looking a hundred times a second."""
    pause = threading.Event()
    while not answers(port, path):
        if time.monotonic() - began > 30:
            sys.exit(f"nothing answered on port {port} within 30 s")
        pause.wait(0.01)
    return time.monotonic() - began


def installed(folder: Path) -> Path:
    """Install Quarterdeck into an environment of its own and return its command."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, "--require-hashes", "-r", ROOT / "requirements.lock"], check=True)
    subprocess.run([*install, ROOT], check=True)
    return folder / "bin/quarterdeck"


def one_round(quarterdeck: Path, home: Path) -> dict[str, float]:
    """Start, look, stop; seconds and megabytes (10^6 bytes)."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
        "QUARTERDECK_HOME": str(home),
        "QUARTERDECK_BIND": f"127.0.0.1:{MASTER}",
        "QUARTERDECK_WORKER_BIND": f"127.0.0.1:{WORKER}",
    }
    began = time.monotonic()
    with (home.parent / "up.log").open("ab") as log:
        up = subprocess.Popen([quarterdeck, "up"], env=environment, stdout=log, stderr=log)
    page = seconds_until(MASTER, "/sign-in", began)
    worker = seconds_until(WORKER, "/healthz", began)
    threading.Event().wait(2)
    children = psutil.Process(up.pid).children()
    memory = {child.environ()["SELFSERVICE_TYPE"]: child.memory_info().rss / 1e6 for child in children}
    stopping = time.monotonic()
    up.send_signal(signal.SIGTERM)
    up.wait(10)
    return {
        "first_page_seconds": page,
        "worker_seconds": worker,
        "master_megabytes": memory["master"],
        "worker_megabytes": memory["worker"],
        "stop_seconds": time.monotonic() - stopping,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        quarterdeck = installed(Path(folder) / "environment")
        first = one_round(quarterdeck, home)
        rounds = [one_round(quarterdeck, home) for _ in range(ROUNDS)]
    medians = {name: round(statistics.median(each[name] for each in rounds), 2) for name in first}
    print(
        json.dumps(
            medians | {"rounds": ROUNDS, "very_first_page_seconds": round(first["first_page_seconds"], 2)}
        )
    )


if __name__ == "__main__":
    main()
