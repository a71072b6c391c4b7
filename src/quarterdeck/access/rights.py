"""Rules between two people: nobody touches, makes or raises someone above themselves."""

from quarterdeck.access import permissions
from quarterdeck.access.models import Person
from quarterdeck.core.actors import Actor, ActorKind, Role
from quarterdeck.core.errors import Forbidden


def must_include(actor: Actor, role: Role | None) -> None:
    """Raise Forbidden unless the actor has at least this role."""
    if actor.kind is not ActorKind.SYSTEM and not permissions.includes(actor.role, role):
        raise Forbidden("Somebody with more rights than you can only be changed by their equals.")


def may_touch(actor: Actor, owner: Person) -> bool:
    """Tell whether the actor may end what belongs to this person: their own, or anyone's below them."""
    if actor.person_id == owner.id:
        return permissions.may(actor, "person.self")
    is_above = actor.kind is ActorKind.SYSTEM or permissions.includes(actor.role, owner.role_or_none)
    return is_above and permissions.may(actor, "person.write", f"person:{owner.name}")
