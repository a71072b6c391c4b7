"""The table of who may do what, written out again by hand."""

import pytest

from quarterdeck.access.permissions import (
    AREAS,
    MASTER_VERBS,
    RULES,
    WORKER_VERBS,
    includes,
    may,
    roles_within,
)
from quarterdeck.access.scopes import allows, levels_for
from quarterdeck.core.actors import NOBODY, SYSTEM, Actor, ActorKind, Level, Role, Scope

ANYONE = {"home.read", "toast.read", "person.self"}
VIEWER = ANYONE | {
    "history.read",
    "history.export",
    "host.read",
    "base.read",
    "rule.read",
    "run.read",
    "file.read",
    "node.read",
    "metrics.read",
}
OPERATOR = VIEWER | {"host.test", "host.silence", "run.start", "run.cancel", "toast.send", "file.write"}
ADMINISTRATOR = OPERATOR | {
    "history.verify",
    "host.write",
    "base.write",
    "rule.write",
    "place.write",
    "person.read",
    "person.write",
    "node.shutdown",
}
NODES = WORKER_VERBS | MASTER_VERBS
EVERY = [*ADMINISTRATOR, *NODES, "host.unknown", "", "HOST.READ"]

PEOPLE = [
    ("ada", Role.ADMINISTRATOR, ADMINISTRATOR),
    ("oskar", Role.OPERATOR, OPERATOR),
    ("vera", Role.VIEWER, VIEWER),
    ("nils", None, ANYONE),
]
SCOPES = [
    (Level.READ, VIEWER - {"person.self"}),
    (Level.RUN, OPERATOR - {"person.self", "file.write"}),
    (Level.WRITE, ADMINISTRATOR - {"person.self", "person.read", "person.write", "node.shutdown"}),
    (Level.ADMIN, ADMINISTRATOR),
]


def test_the_table_names_every_verb() -> None:
    assert set(RULES) == ADMINISTRATOR


@pytest.mark.parametrize("verb", EVERY)
@pytest.mark.parametrize(("name", "role", "allowed"), PEOPLE)
def test_a_person_may_what_the_role_allows(name: str, role: Role, allowed: set[str], verb: str) -> None:
    assert may(Actor(ActorKind.PERSON, name, role=role), verb) is (verb in allowed)


@pytest.mark.parametrize("verb", EVERY)
@pytest.mark.parametrize(("scope", "within"), SCOPES)
@pytest.mark.parametrize(("name", "role", "allowed"), PEOPLE)
def test_a_token_may_what_both_scope_and_role_allow(
    name: str, role: Role, allowed: set[str], scope: Level, within: set[str], verb: str
) -> None:
    token = Actor(ActorKind.TOKEN, f"{name}/job", role=role, scopes=(Scope(scope),))
    assert may(token, verb) is (verb in allowed & within)


@pytest.mark.parametrize("verb", EVERY)
def test_nobody_may_nothing(verb: str) -> None:
    assert may(NOBODY, verb) is False
    assert may(Actor(ActorKind.NOBODY, "nobody", role=Role.ADMINISTRATOR), verb) is False


@pytest.mark.parametrize("verb", EVERY)
def test_a_token_without_a_scope_may_nothing(verb: str) -> None:
    assert may(Actor(ActorKind.TOKEN, "ada/odd", role=Role.ADMINISTRATOR), verb) is False


@pytest.mark.parametrize("verb", EVERY)
def test_nodes_may_only_their_part_of_the_protocol(verb: str) -> None:
    worker = Actor(ActorKind.NODE, "worker-1", role=Role.ADMINISTRATOR, scopes=(Scope(Level.ADMIN),))
    master = Actor(ActorKind.NODE, "master", role=Role.ADMINISTRATOR, scopes=(Scope(Level.ADMIN),))
    assert may(worker, verb) is (verb in WORKER_VERBS)
    assert may(master, verb) is (verb in MASTER_VERBS)


@pytest.mark.parametrize("verb", EVERY)
def test_the_system_may_every_known_verb_of_people(verb: str) -> None:
    assert may(SYSTEM, verb) is (verb in ADMINISTRATOR)


def test_a_role_gives_its_tokens_no_more_than_itself() -> None:
    assert levels_for(None) == ()
    assert levels_for(Role.VIEWER) == (Level.READ,)
    assert levels_for(Role.OPERATOR) == (Level.READ, Level.RUN)
    assert levels_for(Role.ADMINISTRATOR) == tuple(Level)


def test_operators_may_have_tokens_that_change_files_and_nothing_else() -> None:
    writes = [area for area in AREAS if allows(Role.OPERATOR, (), Scope(Level.WRITE, area))]
    assert writes == ["files"]
    assert not allows(Role.OPERATOR, (), Scope(Level.WRITE))
    assert not allows(Role.VIEWER, (), Scope(Level.WRITE, "files"))
    assert not allows(None, (), Scope(Level.READ, "files"))


def test_roles_include_the_lower_ones() -> None:
    assert roles_within(None) == ()
    assert roles_within(Role.OPERATOR) == (Role.VIEWER, Role.OPERATOR)
    assert includes(Role.VIEWER, None)
    assert not includes(None, Role.VIEWER)
