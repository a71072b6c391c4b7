"""Who watches which hosts on a page, and what each is told once a second (docs/fleet.md).

Everything here but the check of rights runs on the master's loop. A host's changes are encoded once a tick
for all who were told the tick before; viewers of the same hosts share one packet.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from quarterdeck.access.permissions import bounds_of, may
from quarterdeck.core.actors import Actor, Target
from quarterdeck.core.clock import Clock
from quarterdeck.core.live.service import Live
from quarterdeck.metrics.figures import KEYS
from quarterdeck.metrics.fleet import Fleet
from quarterdeck.metrics.fragments import ALL_PLACES, Places, Told, sample_of

logger = logging.getLogger(__name__)

TargetsOf = Callable[[Collection[str]], dict[str, Target]]
"""From ids of hosts to what the judge sees of those that there are; asked in a thread."""
Look = Callable[[Collection[str]], None]
"""Says that somebody looks at these hosts, from any thread."""

EVENT: Final = "figures"
MOST_HOSTS: Final = 200
MOST_MISSED: Final = 2_400
"""Samples of all hosts together that one acknowledgement makes good; of more, every second, third … one."""
LOOK_SECONDS: Final = 10
_TICK_SECONDS: Final = 1.0
_MOST_ID: Final = 40


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page asked for, checked; ``since`` is the newest sample it has, 0 for none."""

    ids: frozenset[str]
    places: Places = ALL_PLACES
    since: float = 0.0
    detail: bool = False


@dataclass(slots=True)
class Watch:
    """What one viewer watches, and the last tick that it knows all of."""

    actor: Actor
    ids: frozenset[str]
    places: Places
    detail: bool
    tick: int
    held_since: float = 0.0
    """When the first message was held back that it could not take yet; 0 while it keeps up."""


@dataclass(slots=True)
class WatchCounters:
    """What happened since the start."""

    messages: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class _Group:
    """Viewers who are told the same: of these hosts and figures what changed after a tick."""

    ids: frozenset[str]
    places: Places
    detail: bool
    tick: int
    held_since: float


class Watching:
    """Answers ``figures:watch`` and sends ``figures``."""

    def __init__(
        self, live: Live, fleet: Fleet, clock: Clock, *, targets_of: TargetsOf, look: Look = lambda _ids: None
    ) -> None:
        self._live, self._fleet, self._clock = live, fleet, clock
        self._targets_of, self._look = targets_of, look
        self._watches: dict[str, Watch] = {}
        self._told: dict[str, Told] = {}
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        """What is watched, each set once: a thousand viewers of the same hosts hold one."""
        self._tick = 0
        self._look_at = 0.0
        self.counters = WatchCounters()

    @property
    def viewers(self) -> int:
        """How many sockets watch something."""
        return len(self._watches)

    def watched(self) -> set[str]:
        """Return the ids of all hosts that somebody watches."""
        return set[str]().union(*{watch.ids for watch in self._watches.values()})

    async def run(self) -> None:
        """Tell all viewers once a second, until cancelled; a tick that fails is logged."""
        while True:
            await asyncio.sleep(_TICK_SECONDS - self._clock.now().timestamp() % _TICK_SECONDS)
            try:
                await self.tick()
            except Exception:  # the top of a loop that must go on
                logger.exception("telling the viewers of figures failed")

    async def watch(self, sid: str, actor: Actor, arguments: tuple[object, ...]) -> dict[str, Any]:
        """Take a page's ``figures:watch``; what it watched before is over."""
        asked = read_watch(arguments)
        if isinstance(asked, str):
            return {"ok": False, "error": asked}
        ids = await self._readable(actor, asked.ids)
        if sid not in self._live.viewers:  # it left meanwhile
            return {"ok": False, "error": "The connection has ended."}
        if ids:
            ids = self._sets.setdefault(ids, ids)
            self._watches[sid] = Watch(actor, ids, asked.places, asked.detail, self._tick)
            self._look(ids)
        else:
            self.leave(sid)
        return {
            "ok": True,
            "at": round(self._now(), 3),
            "figures": [KEYS[place] for place in asked.places],
            "hosts": self._snapshots(ids, asked),
        }

    def leave(self, sid: str) -> None:
        """Forget what a viewer watched."""
        self._watches.pop(sid, None)

    async def recheck(self) -> None:
        """Take from each viewer the hosts that it may no longer read."""
        watches = list(self._watches.items())
        if not watches:
            return
        lost = await asyncio.to_thread(self._lost, [(sid, each.actor, each.ids) for sid, each in watches])
        for sid, ids in lost.items():
            if (watch := self._watches.get(sid)) is not None:
                watch.ids -= ids
                if not watch.ids:
                    self.leave(sid)

    async def tick(self) -> None:
        """Tell every viewer that can take it what is new."""
        now, ids = self._now(), self.watched()
        self._forget_unwatched(ids)
        if not ids:
            return
        self._tick += 1
        for host_id in ids:
            self._renew(host_id)
        if self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + LOOK_SECONDS
            self._look(ids)
        message = _Messages(self._told, now)
        for group, sids in self._groups(now).items():
            if text := message.of(group):
                self.counters.messages += len(sids)
                await self._live.send_to(sids, EVENT, text)

    def _groups(self, now: float) -> dict[_Group, list[str]]:
        """Return who is told what; a viewer for whom something waits is told more the next time."""
        groups: dict[_Group, list[str]] = {}
        for sid, watch in self._watches.items():
            if self._live.has_waiting(sid):
                watch.held_since = watch.held_since or now
                self.counters.held += 1
                continue
            group = _Group(watch.ids, watch.places, watch.detail, watch.tick, watch.held_since)
            groups.setdefault(group, []).append(sid)
            watch.tick, watch.held_since = self._tick, 0.0
        return groups

    def _snapshots(self, ids: Collection[str], asked: Asked) -> dict[str, Any]:
        snapshots = {}
        for host_id in ids:
            told = self._told.get(host_id) or self._renew(host_id)
            if told is not None:
                snapshots[host_id] = told.snapshot(asked.places, detail=asked.detail)
                if asked.since:
                    snapshots[host_id]["missed"] = self._missed(told, asked, MOST_MISSED // len(ids))
        return snapshots

    def _missed(self, told: Told, asked: Asked, most: int) -> list[Any]:
        """Return the samples that a page missed, up to the snapshot; thinned evenly."""
        host = self._fleet.now(told.host_id)
        rows = [row for row in host.ring.since(asked.since) if row[0] <= told.at] if host else []
        step = -(-len(rows) // most)
        kept = rows[::-1][:: step or 1][::-1]
        return [sample_of(at, row, asked.places) for at, row in kept]

    def _renew(self, host_id: str) -> Told | None:
        """Take in what is known of a host now; None while there is nothing."""
        host = self._fleet.now(host_id)
        if host is None or not host.at:
            return None
        told = self._told.setdefault(host_id, Told(host_id))
        told.take(host, self._tick)
        return told

    def _forget_unwatched(self, watched: set[str]) -> None:
        for host_id in self._told.keys() - watched:
            del self._told[host_id]
        self._sets = {watch.ids: watch.ids for watch in self._watches.values()}

    async def _readable(self, actor: Actor, ids: frozenset[str]) -> frozenset[str]:
        if not ids:
            return ids
        lost = await asyncio.to_thread(self._lost, [("", actor, ids)])
        return ids - lost.get("", frozenset())

    def _lost(self, watches: Iterable[tuple[str, Actor, frozenset[str]]]) -> dict[str, frozenset[str]]:
        """Return, for those that there is something to take from, the hosts they may not read."""
        watches = list(watches)
        targets = self._targets_of({host_id for _, _, ids in watches for host_id in ids})
        lost = {}
        for sid, actor, ids in watches:
            open_ids = ids & targets.keys()
            if bounds_of(actor, "host.read") is not None:
                open_ids = frozenset(each for each in open_ids if may(actor, "host.read", targets[each]))
            if ids - open_ids:
                lost[sid] = ids - open_ids
        return lost

    def _now(self) -> float:
        return self._clock.now().timestamp()


@dataclass(slots=True)
class _Messages:
    """The messages of one tick; each host's part of them is encoded once."""

    told: dict[str, Told]
    now: float
    _fragments: dict[tuple[str, Places, int], str] = field(default_factory=dict)
    _details: dict[tuple[str, int], str] = field(default_factory=dict)

    def of(self, group: _Group) -> str:
        """Return the JSON of a group's message, or an empty text when there is nothing new."""
        hosts = [text for each in group.ids if (text := self._fragment(each, group.places, group.tick))]
        if not hosts:
            return ""
        parts = [f'"at":{self.now:.3f}']
        if group.held_since:
            parts.append(f'"lag":{self.now - group.held_since:.1f}')
        parts.append(f'"hosts":{{{",".join(hosts)}}}')
        if group.detail:
            details = [text for each in group.ids if (text := self._detail(each, group.tick))]
            parts.append(f'"details":{{{",".join(details)}}}')
        return f"{{{','.join(parts)}}}"

    def _fragment(self, host_id: str, places: Places, since: int) -> str:
        key = (host_id, places, since)
        if (text := self._fragments.get(key)) is None:
            told = self.told.get(host_id)
            text = self._fragments[key] = told.fragment(places, since, self.now) if told else ""
        return text

    def _detail(self, host_id: str, since: int) -> str:
        key = (host_id, since)
        if (text := self._details.get(key)) is None:
            told = self.told.get(host_id)
            text = self._details[key] = told.detail(since) if told else ""
        return text


def read_watch(arguments: tuple[object, ...]) -> Asked | str:
    """Return what a page asks to watch, or what is wrong with it."""
    if len(arguments) != 1 or not isinstance(arguments[0], dict):
        return "Say what to watch as {hosts: [ids], …}."
    asked: dict[Any, Any] = arguments[0]  # Any: JSON of a client
    ids, keys = asked.get("hosts"), asked.get("figures") or list(KEYS)
    since, detail = asked.get("since") or 0, asked.get("detail", False)
    if not isinstance(ids, list) or not all(isinstance(each, str) and len(each) <= _MOST_ID for each in ids):
        return "Name the hosts by their ids, as a list."
    if len(ids) > MOST_HOSTS:
        return f"At most {MOST_HOSTS} hosts at a time: those on the screen."
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in KEYS for key in keys):
        return f"The figures are {', '.join(KEYS)}."
    if not isinstance(since, int | float) or isinstance(since, bool) or not 0 <= since < 1e11:
        return "Say since when in seconds since 1970."
    if not isinstance(detail, bool):
        return "The detail is true or false."
    places = tuple(sorted({KEYS.index(key) for key in keys}))
    return Asked(frozenset(ids), places, float(since), detail)
