"""The judge as the edges ask it: by the names of objects, whose tags and parts are looked up."""

from collections.abc import Callable, Sequence
from typing import Final

from quarterdeck.access.permissions import ON_HOSTS, ON_OBJECTS, bounds_of, may
from quarterdeck.core.actors import Actor, Target

TargetsOf = Callable[[str], Sequence[Target]]
"""From the id of an object to what it stands for, such as the hosts of a run; empty when there is none."""
_NOWHERE: Final = Target("nowhere")


class ObjectJudge:
    """``may(actor, verb, object)`` for objects by name: ``host:web1``, ``run:01J…``, ``place:wiki``."""

    def __init__(self, targets_of: dict[str, TargetsOf]) -> None:
        self._targets_of = targets_of

    def __call__(self, actor: Actor, verb: str, object_: str | Target = "") -> bool:
        """Tell whether the actor may: a run when each of its hosts is allowed, what is absent never."""
        if isinstance(object_, Target) or not object_ or verb not in ON_OBJECTS:
            return may(actor, verb, object_)
        if not may(actor, verb):
            return False
        if verb in ON_HOSTS and bounds_of(actor, verb) is None:
            return True
        return all(may(actor, verb, target) for target in self.targets_of(object_) or (_NOWHERE,))

    def targets_of(self, object_: str) -> Sequence[Target]:
        """Return what an object stands for; nothing when there is no such object."""
        kind, _, name = object_.partition(":")
        return self._targets_of[kind](name) if kind in self._targets_of else ()
