"""Figures of machines that are not there: plausible, moving, and the same for the same seed."""

import random
from typing import Final

from quarterdeck.protocol.samples import Facts, Frame, Interface, Mount, Processes, ProcessUse, Temperature
from quarterdeck.tasks.simulation.fleet import SimulatedHost

SYSTEM: Final = "Simulated (quarterdeck simulate)"
PROCESSORS: Final = 4
_GIGABYTE: Final = 1 << 30
_DISK: Final = 50 * _GIGABYTE
_DATA: Final = 200 * _GIGABYTE
_FULL_EVERY: Final = 20
_NAMES: Final = ("postgres", "nginx", "java", "python3", "sshd", "systemd", "cron", "rsyslogd")


class Walk:
    """A random walk of one machine around means of its own."""

    def __init__(self, host: SimulatedHost, seed: int, began: float) -> None:
        self._chance = chance = random.Random(f"{seed}/{host.name}/figures")  # noqa: S311 - no secret
        self._host, self._began = host, began
        self._busy = chance.uniform(2, 70)
        self._flow = chance.uniform(8, 16)
        self._values = {
            "cpu": self._busy,
            "cpu_wait": 0.5,
            "load": self._busy * PROCESSORS / 100,
            "memory": chance.uniform(15, 85),
            "swap": chance.choice((0.0, 0.0, chance.uniform(0, 20))),
            "disk": chance.uniform(20, 92),
            "disk_read": 0.0,
            "disk_write": 0.0,
            "received": 0.0,
            "sent": 0.0,
            "processes": float(chance.randrange(80, 400)),
            "temperature": 45.0,
        }
        self._total = [0.0, 0.0]
        self._until_full = 0

    def facts(self) -> Facts:
        """Return what never changes; it says that the machine is simulated."""
        return Facts(
            hostname=self._host.name,
            system=SYSTEM,
            kernel="simulated",
            architecture="none",
            processor="Simulated processor",
            processors=PROCESSORS,
            cores=PROCESSORS,
            memory_bytes=8 * _GIGABYTE,
            swap_bytes=2 * _GIGABYTE,
            booted_at=self._began,
            addresses=[self._host.address],
        )

    def begin_anew(self) -> None:
        """Make the next frame a full one."""
        self._until_full = 0

    def next(self, at: float, seconds: float) -> Frame:
        """Go one step on; returns what has moved, and all of it every twentieth time."""
        moved = self._move()
        self._values |= moved
        self._total[0] += self._values["received"] * seconds
        self._total[1] += self._values["sent"] * seconds
        is_full, self._until_full = self._until_full <= 0, self._until_full - 1
        interfaces = [
            Interface(
                "eth0",
                int(self._total[0]),
                int(self._total[1]),
                self._values["received"],
                self._values["sent"],
            )
        ]
        cores = [self._near(self._values["cpu"]) for _ in range(PROCESSORS)]
        if not is_full:
            return Frame(at=at, values=moved, cores=cores, interfaces=interfaces)
        self._until_full = _FULL_EVERY - 1
        return Frame(
            at=at,
            is_full=True,
            values=dict(self._values),
            cores=cores,
            mounts=self._mounts(),
            interfaces=interfaces,
            temperatures=[Temperature("simulated", self._values["temperature"])],
        )

    def processes(self, at: float) -> Processes:
        """Return made-up processes whose shares add up to what the machine uses."""
        left, top = self._values["cpu"] * PROCESSORS * 0.9, []
        for place, name in enumerate(_NAMES):
            share = round(left * 0.5, 1)
            left -= share
            top.append(
                ProcessUse(
                    pid=100 + place,
                    name=f"simulated-{name}",
                    user="demo",
                    cpu_percent=share,
                    memory_percent=round(self._values["memory"] / (place + 2), 1),
                    memory_bytes=int(8 * _GIGABYTE * self._values["memory"] / 100 / (place + 2)),
                    started_at=self._began,
                )
            )
        return Processes(at=at, count=int(self._values["processes"]), top=top)

    def _move(self) -> dict[str, float]:
        chance, now = self._chance, self._values
        cpu = _within(now["cpu"] + (self._busy - now["cpu"]) * 0.2 + chance.gauss(0, 4))
        moved = {
            "cpu": round(cpu, 1),
            "load": round(max(0.0, now["load"] + (cpu * PROCESSORS / 100 - now["load"]) * 0.2), 2),
            "received": self._rate(0),
            "sent": self._rate(-1),
        }
        if chance.random() < 0.4:
            moved["memory"] = round(_within(now["memory"] + chance.gauss(0, 0.6), 5, 97), 1)
            moved["temperature"] = round(38 + cpu * 0.35, 1)
        if chance.random() < 0.3:
            moved["disk_read"], moved["disk_write"] = self._rate(-2), self._rate(-1)
            moved["cpu_wait"] = round(_within(chance.expovariate(1.2), 0, 30), 1)
        if chance.random() < 0.05:
            moved["processes"] = max(20, round(now["processes"] + chance.gauss(0, 3)))
            moved["disk"] = round(_within(now["disk"] + chance.uniform(-0.02, 0.05), 0, 99), 2)
        return moved

    def _rate(self, shift: float) -> float:
        return round(2 ** (self._flow + shift + self._chance.gauss(0, 0.7)))

    def _near(self, share: float) -> float:
        return round(_within(share + self._chance.gauss(0, 8)))

    def _mounts(self) -> list[Mount]:
        used = self._values["disk"] / 100
        return [
            Mount("/", _DISK, int(_DISK * (1 - used)), "ext4", "/dev/simulated1"),
            Mount("/srv", _DATA, int(_DATA * (1 - used * 0.6)), "xfs", "/dev/simulated2"),
        ]


def _within(value: float, least: float = 0, most: float = 100) -> float:
    return min(most, max(least, value))
