"""A Flask JSON route under uvicorn with the bridge, under gunicorn gthread, and a bare ASGI route.

Every server is one process, loaded by wrk over keep-alive connections, in rounds that take turns.
Prints JSON: medians of requests a second, latency in ms, and CPU microseconds a request (server only).
"""

import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from flask import Flask, Response, jsonify

from quarterdeck.core import serve
from quarterdeck.core.asgi import Receive, Scope, Send, send_json
from quarterdeck.core.bridge import Bridge
from quarterdeck.core.config import Bind
from quarterdeck.core.dispatch import Dispatcher
from quarterdeck.core.loop import Loop

HERE = Path(__file__)
THREADS = 8
CONTENT = {
    "host": "db-1.example.org",
    "cpu": {"user": 12.5, "system": 3.25},
    "memory": {"used": 812, "total": 2048},
    "disk": {"used": 40, "total": 100},
    "network": {"in": 120, "out": 80},
    "load": [0.5, 0.25, 0.1],
}


def flask_app() -> Flask:
    app = Flask(__name__)

    @app.get("/json")
    def answer() -> Response:
        return jsonify(CONTENT)

    return app


async def bare(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send_json(send, 200, CONTENT)


def serve_bridge(port: int) -> int:
    web = Bridge(flask_app(), threads=THREADS, body_bytes=2**20)
    return serve.run(Dispatcher(web, loop=Loop(), hot={"/bare": bare}), Bind("127.0.0.1", port))


def commands(port: int) -> dict[str, tuple[list[str], str]]:
    """Return the command and the path of each contender."""
    gunicorn = [sys.executable, "-m", "gunicorn", "--chdir", str(HERE.parent), "-b", f"127.0.0.1:{port}"]
    own = [sys.executable, str(HERE), "--serve", str(port)]
    return {
        "bridge": (own, "/json"),
        "gthread": ([*gunicorn, "-k", "gthread", "--threads", str(THREADS), "web:flask_app()"], "/json"),
        "bare": (own, "/bare"),
    }


@contextlib.contextmanager
def running(command: list[str], url: str) -> Iterator[psutil.Process]:
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(url).raise_for_status()
                    break
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def cpu_seconds(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in family)


def load(url: str, connections: int, seconds: int) -> dict[str, float]:
    report = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Non-2xx" not in report, report
    return {
        "requests": float(found(r"(\d+) requests in", report)),
        "per_second": float(found(r"Requests/sec:\s+([\d.]+)", report)),
        "p50_ms": milliseconds(found(r"\n +50% +(\S+)", report)),
        "p99_ms": milliseconds(found(r"\n +99% +(\S+)", report)),
    }


def found(pattern: str, report: str) -> str:
    match = re.search(pattern, report)
    assert match is not None, report
    return match[1]


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def measure(rounds: int, connections: int, seconds: int) -> dict[str, Any]:
    results: dict[str, list[dict[str, float]]] = {}
    listener = serve.listen(Bind("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    for _ in range(rounds):
        for name, (command, path) in commands(port).items():
            url = f"http://127.0.0.1:{port}{path}"
            with running(command, url) as process:
                load(url, connections, 1)
                before = cpu_seconds(process)
                result = load(url, connections, seconds)
                result["cpu_us"] = (cpu_seconds(process) - before) * 1e6 / result.pop("requests")
            results.setdefault(name, []).append(result)
    medians = {
        name: {key: round(statistics.median(one[key] for one in all_), 2) for key in all_[0]}
        for name, all_ in results.items()
    }
    return {
        "body_bytes": len(flask_app().test_client().get("/json").data),
        "connections": connections,
        "rounds": rounds,
        "medians": medians,
        "bridge_over_gthread": ratio(medians, "bridge"),
        "bare_over_gthread": ratio(medians, "bare"),
    }


def ratio(medians: dict[str, dict[str, float]], name: str) -> dict[str, float]:
    """Return how many times more requests, and how many times less CPU, than gunicorn gthread."""
    return {
        "per_second": round(medians[name]["per_second"] / medians["gthread"]["per_second"], 2),
        "cpu": round(medians["gthread"]["cpu_us"] / medians[name]["cpu_us"], 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, metavar="PORT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=5)
    chosen = parser.parse_args()
    if chosen.serve:
        sys.exit(serve_bridge(chosen.serve))
    print(json.dumps(measure(chosen.rounds, chosen.connections, chosen.seconds), indent=2))
