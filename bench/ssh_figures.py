"""What all tools of the SSH measurement are given, and how they are timed; imports nothing large."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

COMMAND = "df -h /"
AT_ONCE = 50
WARM_ROUNDS = 3


@dataclass(frozen=True)
class Fleet:
    """The hosts of one benchmark, as handed to each tool."""

    addresses: list[str]
    port: int
    host_keys: dict[str, str]
    key_file: str
    known_hosts: str


class Stopwatch:
    """CPU of this process and wall time, by host."""

    def __init__(self, hosts: int) -> None:
        self._hosts = hosts
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def read(self, name: str) -> dict[str, float]:
        cpu = (time.process_time() - self._cpu) * 1000 / self._hosts
        return {f"{name}_cpu_ms": cpu, f"{name}_wall_s": time.perf_counter() - self._wall}


def timed(hosts: int, cold: Callable[[], object], warm: Callable[[], object]) -> dict[str, float]:
    watch = Stopwatch(hosts)
    cold()
    figures = watch.read("cold")
    rounds = []
    for _ in range(WARM_ROUNDS):
        watch = Stopwatch(hosts)
        warm()
        rounds.append(watch.read("warm"))
    return figures | medians(rounds)


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]}
