"""What operators are told of hosts: lost, back and flapping, each once, and many at once in one message."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from quarterdeck.hosts.contacts import Flap, Transition
from quarterdeck.hosts.models import HostState
from quarterdeck.hosts.standing import FLAPPING_CHANGES, FLAPPING_SECONDS

Announce = Callable[[str, str, str], None]
"""Tells operators a text, with its level and a link."""

_SINGLE_NEWS: Final = 3


@dataclass(slots=True)
class _Sorted:
    """The hosts of one message each."""

    lost: list[Transition] = field(default_factory=list)
    back: list[Transition] = field(default_factory=list)
    flapping: list[Transition] = field(default_factory=list)
    steady: list[Transition] = field(default_factory=list)


class Notices:
    """Tells changes of state. One that is held back by a silence is told after it, if it still stands."""

    def __init__(self, announce: Announce, is_silenced: Callable[[str], bool]) -> None:
        self._announce, self._is_silenced = announce, is_silenced
        self._held: dict[str, Transition] = {}

    def tell(self, transitions: Iterable[Transition]) -> None:
        """Tell these changes, oldest first, and what no silence holds back any more."""
        found = _Sorted()
        for each in _net([*self._released(), *transitions]):
            self._sort(each, found)
        self._say(found.lost, "is lost.", "hosts are lost.", "error", "/hosts?state=lost")
        self._say(found.back, "is back.", "hosts are back.", "success", "/hosts")
        changes = f"its state changed {FLAPPING_CHANGES} times in {FLAPPING_SECONDS / 60:.0f} minutes."
        self._say(found.flapping, f"is flapping: {changes}", "hosts are flapping.", "warning", "/hosts")
        self._say(found.steady, "is steady again.", "hosts are steady again.", "success", "/hosts")

    def forget(self, host_ids: Iterable[str]) -> None:
        """Drop what is held back of removed hosts."""
        for host_id in host_ids:
            self._held.pop(host_id, None)

    @property
    def held(self) -> set[str]:
        """The hosts that are lost without anybody having been told."""
        return set(self._held)

    def _sort(self, each: Transition, found: _Sorted) -> None:
        if self._is_silenced(each.host_id):
            self._hold(each)
            return
        if each.flap is Flap.BEGINS:
            found.flapping.append(each)
        elif each.flap is Flap.GOES_ON:
            return
        elif each.after is HostState.LOST:
            if each.before is not HostState.UNKNOWN:
                found.lost.append(each)
        elif each.flap is Flap.ENDS:
            found.steady.append(each)
        elif each.before is HostState.LOST and each.after is HostState.WELL:
            found.back.append(each)

    def _hold(self, each: Transition) -> None:
        if each.after is HostState.LOST:
            self._held[each.host_id] = each
        else:
            self._held.pop(each.host_id, None)

    def _released(self) -> list[Transition]:
        ids = [host_id for host_id in self._held if not self._is_silenced(host_id)]
        return [self._held.pop(host_id) for host_id in ids]

    def _say(self, found: list[Transition], one: str, many: str, level: str, link: str) -> None:
        if len(found) > _SINGLE_NEWS:
            self._announce(f"{len(found)} {many}", level, link)
            return
        for each in found:
            is_about_loss = each.after is HostState.LOST and each.flap is not Flap.BEGINS
            reason = each.reason if is_about_loss else ""
            self._announce(f"{each.name} {one} {reason}".rstrip(), level, f"/hosts/{each.name}")


def _net(transitions: Iterable[Transition]) -> list[Transition]:
    """Return one change for each host, from its first state to its last; nothing where these are the same."""
    net: dict[str, Transition] = {}
    for each in transitions:
        first = net.pop(each.host_id, each)
        begins = Flap.BEGINS in (first.flap, each.flap)
        flap = Flap.BEGINS if begins and each.flap is not Flap.ENDS else each.flap
        net[each.host_id] = Transition(each.host_id, each.name, first.before, each.after, each.reason, flap)
    marked = (Flap.BEGINS, Flap.ENDS)
    return [each for each in net.values() if each.before is not each.after or each.flap in marked]
