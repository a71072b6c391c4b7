"""Run every measurement in turn and write docs/benchmarks.md: ``make bench``.

Each script prints JSON; this one adds the machine, the versions and the budgets, and makes tables of it.
Needs root, sshd and wrk, and a machine on which nothing else runs. Takes about a quarter of an hour;
``python -m bench.all web ssh`` repeats some and keeps the rest of the page.
"""

import ast
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/benchmarks.md"
LIBRARIES = (
    "flask",
    "uvicorn",
    "uvloop",
    "httptools",
    "gunicorn",
    "python-socketio",
    "python-engineio",
    "asyncssh",
)


@dataclass(frozen=True)
class Measurement:
    """A script of this folder, and the budgets of ARCHITECTURE section 10 that it shows."""

    title: str
    script: str
    budget: str
    arguments: tuple[str, ...] = ()


MEASUREMENTS = (
    Measurement("Start", "start", "first page ≤ 1.5 s; master ≤ 140 MB, worker ≤ 60 MB resident"),
    Measurement(
        "Flask under the bridge", "web", "JSON route ≥ 2.5 times gunicorn gthread; hot routes ≥ 8 times"
    ),
    Measurement("Broadcast", "broadcast", "5,000 sockets: ≤ 150 ms CPU a broadcast, ≤ 45 KB a socket"),
    Measurement(
        "Live page",
        "dashboard",
        "10 times less CPU a viewer than the dashboard that it replaces; round trip p95 ≤ 30 ms at 500",
    ),
    Measurement(
        "History",
        "history",
        "≥ 30,000 durable records a second from 32 writers; "
        "of 10 million: newest page ≤ 5 ms, a rare actor ≤ 300 ms",
    ),
    Measurement("The same start 50 times at once", "duplicates", "50 starts give one run"),
    Measurement("After a kill", "recovery", "every run stands as it is within 10 s of the start"),
    Measurement(
        "States of hosts", "states", "1,000 well workers: a round ≤ 1 % of a core, a heartbeat ≤ 10 µs"
    ),
    Measurement(
        "Many hosts", "matrix", "1,000 hosts and 100,000 runs: ≤ 100 ms of server time, ≤ 100 KB a page"
    ),
    Measurement(
        "Output",
        "output",
        "42,000 lines: first screen ≤ 300 ms; 100 viewers of 5,000 lines a second: p95 ≤ 500 ms, "
        "≤ 20 messages a second",
    ),
    Measurement("Samples kept", "samples", "1,000 hosts at 15 s: ≤ 10 % of a core, ≤ 3 GB in a month"),
    Measurement(
        "Figures on pages",
        "figures",
        "page of 1,000 hosts ≤ 100 ms of server time and ≤ 100 KB; 62 hosts of 10 figures at 1 s "
        "≤ 0.3 Mbit/s a viewer; 1,000 viewers",
    ),
    Measurement(
        "Sampling",
        "sampling",
        "a worker at 1 s: ≤ 0.5 % of a core and ≤ 60 MB; 1,000 workers at 15 s: ≤ 10 % of the master's core; "
        "all back within 30 s",
    ),
    Measurement("Alerts", "alerts", "the rules cost a sample of a host that is well ≤ 3 µs"),
    Measurement(
        "Files",
        "files",
        "an answer of the dropdown ≤ 50 ms at 50,000 files; a view ≤ 30 ms; an edit at Cloud ≤ 6 calls, "
        "the listing after a commit of one file there ≤ 2",
    ),
    Measurement(
        "SSH", "ssh", "cold ≤ 4 ms CPU a host and wall ≤ the fastest other; warm ≤ 0.5 ms CPU a host"
    ),
)


def run(measurement: Measurement) -> dict[str, Any]:
    """Return the figures that a script prints."""
    print(f"{measurement.title} …", flush=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{measurement.script}", *measurement.arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def section(measurement: Measurement, figures: dict[str, Any]) -> str:
    """Return the section of one measurement: method, budget, tables."""
    source = (Path(__file__).parent / f"{measurement.script}.py").read_text(encoding="utf-8")
    method = (ast.get_docstring(ast.parse(source)) or "").strip()
    lines = [f"## {measurement.title}", "", method, "", f"Budget: {measurement.budget}.", "", ""]
    return "\n".join(lines) + "\n".join(tables(figures)) + "\n"


def tables(figures: dict[str, Any], title: str = "") -> list[str]:
    """Return Markdown: plain figures first, then each group of figures; like groups share one table."""
    plain = {name: value for name, value in figures.items() if not isinstance(value, dict)}
    groups = {name: value for name, value in figures.items() if isinstance(value, dict)}
    out = [f"### {title}", ""] if title else []
    if plain:
        rows = [f"| {words(name)} | {text(value)} |" for name, value in plain.items()]
        out += ["| | |", "|---|---|", *rows, ""]
    if groups and all(is_flat(group) for group in groups.values()):
        return out + matrix(groups)
    for name, group in groups.items():
        out += tables(group, words(name))
    return out


def matrix(groups: dict[str, dict[str, Any]]) -> list[str]:
    """Return one table with a row a group, as far as they have the same figures; else a table each."""
    columns = [*next(iter(groups.values()))]
    if any([*group] != columns for group in groups.values()):
        return [line for name, group in groups.items() for line in tables(group, words(name))]
    rows = [
        f"| {words(name)} | {' | '.join(text(group[column]) for column in columns)} |"
        for name, group in groups.items()
    ]
    head = f"| | {' | '.join(words(column) for column in columns)} |"
    return [head, f"|---|{'---|' * len(columns)}", *rows, ""]


def is_flat(group: dict[str, Any]) -> bool:
    return not any(isinstance(value, dict) for value in group.values())


def words(name: str) -> str:
    return name.replace("_", " ")


def text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)


def machine() -> str:
    """Return what it was measured on."""
    described = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in described if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = (
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"{os.cpu_count()} cores ({names[0] if names else platform.processor()})",
        f"{memory:.0f} GiB",
        f"Linux {platform.release()}",
        f"CPython {platform.python_version()}",
        *(f"{name} {version(name)}" for name in LIBRARIES),
        f"load average {os.getloadavg()[0]:.1f} before the first",
    )
    return ", ".join(parts) + "."


INTRODUCTION = """# Benchmarks

Made by `make bench`; the text above each table says how. Load generator and server share the machine, over
loopback. On small shared machines rates move a lot from run to run: trust the ratios within one run and
the CPU times more than the rates.

"""


def kept_sections() -> dict[str, str]:
    """Return what the page says now, by title, for the measurements that are not run again."""
    written = PAGE.read_text(encoding="utf-8").split("\n## ")[1:] if PAGE.exists() else []
    return {text.partition("\n")[0]: f"## {text.strip()}\n" for text in written}


def main(names: list[str]) -> None:
    """Run the scripts of these names, or all, and write the page."""
    sections, where = kept_sections(), machine()
    for measurement in MEASUREMENTS:
        if not names or measurement.script in names:
            sections[measurement.title] = f"{section(measurement, run(measurement)).rstrip()}\n\nOn {where}\n"
    PAGE.write_text(INTRODUCTION + "\n".join(sections.values()), encoding="utf-8")
    print(f"written to {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1:])
