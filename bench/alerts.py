"""What the rules of alerts cost the master: the first rules, 1,000 hosts, real samples into a real fleet.

All hosts have figures that are well and nothing pending. Measured is the time of one sample with the rules
listening and without them (their difference is what the rules cost), of a sample of a host on which a rule is
firing, and of one look at the lost hosts and at the trend of one host with ten minutes of samples every 15 s.
Prints one JSON object.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace

from quarterdeck.hosts.models import HostState
from quarterdeck.hosts.reading import Listed
from quarterdeck.metrics.alerts.drafts import DEFAULTS
from quarterdeck.metrics.alerts.engine import Engine
from quarterdeck.metrics.alerts.use import DiskUse
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.protocol.samples import Facts, Frame

HOSTS = 1_000
ROUNDS = 40
BEGAN = 1_700_000_000.0
WELL = {"cpu": 12.0, "load": 0.8, "memory": 61.0, "swap": 0.0, "disk": 58.0, "processes": 240.0}
RULES = tuple(replace(rule, id=f"rule-{place}") for place, rule in enumerate(DEFAULTS))


def filled(engine: Engine | None, **values: float) -> tuple[Fleet, float]:
    """Return a fleet after its samples, and the seconds that one of them took."""
    fleet = Fleet()
    ids = [f"host-{number}" for number in range(HOSTS)]
    for host_id in ids:
        fleet.take_facts(host_id, Facts(processors=8))
    if engine:
        engine.know(RULES, {each: Listed(each, frozenset({"web"}), HostState.WELL) for each in ids}, BEGAN)
        fleet.listen(engine.sample)
    began = time.perf_counter()
    for turn in range(1, ROUNDS + 1):
        at = BEGAN + 15 * turn
        for host_id in ids:
            fleet.take(host_id, Frame(at=at, is_full=True, values=WELL | values), at=at)
    return fleet, (time.perf_counter() - began) / HOSTS / ROUNDS


def seconds(work: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def main() -> None:
    engine = Engine()
    fleet, with_rules = min((filled(Engine()) for _ in range(3)), key=lambda each: each[1])
    _, without = min((filled(None) for _ in range(3)), key=lambda each: each[1])
    fleet, _ = filled(engine)
    _, firing = filled(Engine(), memory=97.0, disk=97.0)
    use = DiskUse(fleet, lambda _host_id: ())
    now = BEGAN + 15 * ROUNDS
    figures = {
        "sample_with_rules_us": with_rules * 1e6,
        "sample_without_us": without * 1e6,
        "rules_per_sample_us": (with_rules - without) * 1e6,
        "sample_with_firing_rules_us": firing * 1e6,
        "look_at_lost_of_1000_hosts_ms": seconds(lambda: engine.weigh_states(now), 20) * 1e3,
        "trend_of_one_host_us": seconds(lambda: use.trends(["host-1"], now), 200) * 1e6,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
