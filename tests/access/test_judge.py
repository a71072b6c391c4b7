"""The judge with scopes, grants and limits: properties, and the bounds of lists beside single answers."""

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.access.judge import ObjectJudge
from quarterdeck.access.permissions import (
    ON_HOSTS,
    ON_OBJECTS,
    ON_PLACES,
    RULES,
    Within,
    bounds_of,
    includes,
    judge,
    may,
)
from quarterdeck.core.actors import Actor, ActorKind, Grant, Level, Role, Scope, Target

TAGS = ("web", "db", "dev")
NAMES = ("web1", "db1", "both", "bare")
FLEET = {
    "web1": Target("host:web1", frozenset({"web"})),
    "db1": Target("host:db1", frozenset({"db"})),
    "both": Target("host:both", frozenset({"web", "db"})),
    "bare": Target("host:bare"),
}
PLACES = {
    "open": Target("place:open", roles=((Level.READ, Role.VIEWER), (Level.WRITE, Role.OPERATOR))),
    "narrow": Target("place:narrow", roles=((Level.READ, Role.OPERATOR), (Level.WRITE, Role.ADMINISTRATOR))),
}

roles = st.sampled_from([None, *Role])
grants = st.lists(
    st.builds(
        Grant,
        st.sampled_from([Level.READ, Level.RUN, Level.WRITE]),
        st.sampled_from(
            [
                *(f"tag:{tag}" for tag in TAGS),
                *(f"host:{name}" for name in NAMES),
                *map(str, PLACES.values()),
            ]
        ),
    ),
    max_size=3,
).map(tuple)
scopes = st.lists(
    st.builds(Scope, st.sampled_from(Level), st.sampled_from(["", "files", "hosts", "runs", "history"])),
    max_size=2,
).map(tuple)
tags = st.none() | st.frozensets(st.sampled_from(TAGS), max_size=2)
people = st.builds(
    Actor, st.just(ActorKind.PERSON), st.just("ada"), role=roles, grants=grants, person_id=st.just("1")
)
verbs = st.sampled_from(sorted(RULES))
targets = st.sampled_from([*FLEET.values(), *PLACES.values()])


def token_of(person: Actor, scopes: tuple[Scope, ...], host_tags: frozenset[str] | None) -> Actor:
    return Actor(
        ActorKind.TOKEN,
        "ada/job",
        role=person.role,
        scopes=scopes,
        host_tags=host_tags,
        grants=person.grants,
        person_id=person.person_id,
    )


@given(person=people, scopes=scopes, host_tags=tags, verb=verbs, target=targets)
def test_a_token_never_may_what_its_person_may_not(
    person: Actor, scopes: tuple[Scope, ...], host_tags: frozenset[str] | None, verb: str, target: Target
) -> None:
    token = token_of(person, scopes, host_tags)
    assert may(person, verb, target) or not may(token, verb, target)


@given(person=people, extra=grants, verb=verbs, target=targets)
def test_a_grant_more_never_takes_a_right_away(
    person: Actor, extra: tuple[Grant, ...], verb: str, target: Target
) -> None:
    richer = Actor(
        ActorKind.PERSON, "ada", role=person.role, grants=person.grants + extra, person_id=person.person_id
    )
    assert may(richer, verb, target) or not may(person, verb, target)


@given(person=people, scopes=scopes, verb=verbs)
def test_a_token_with_an_empty_list_of_tags_touches_no_host(
    person: Actor, scopes: tuple[Scope, ...], verb: str
) -> None:
    token = token_of(person, scopes, frozenset())
    allowed = [name for name, target in FLEET.items() if may(token, verb, target)]
    assert allowed == [] or verb == "home.read"


@given(person=people, extra=grants, verb=st.sampled_from(sorted(set(RULES) - ON_OBJECTS)))
def test_grants_give_nothing_but_the_verbs_on_objects(
    person: Actor, extra: tuple[Grant, ...], verb: str
) -> None:
    plain = Actor(ActorKind.PERSON, "ada", role=person.role, person_id=person.person_id)
    richer = Actor(ActorKind.PERSON, "ada", role=person.role, grants=extra, person_id=person.person_id)
    assert may(richer, verb) is may(plain, verb)


@given(
    person=people,
    scopes=scopes,
    host_tags=tags,
    verb=st.sampled_from(sorted(ON_HOSTS)),
    is_token=st.booleans(),
)
def test_the_bounds_of_lists_say_what_the_judge_says_of_each_host(
    person: Actor, scopes: tuple[Scope, ...], host_tags: frozenset[str] | None, verb: str, is_token: bool
) -> None:
    actor = token_of(person, scopes, host_tags) if is_token else person
    within = bounds_of(actor, verb)
    for name, target in FLEET.items():
        assert lies_in(name, target, within) is may(actor, verb, target), judge(actor, verb, target)


@given(person=people, verb=st.sampled_from(sorted(ON_PLACES)), place=st.sampled_from(list(PLACES.values())))
def test_a_place_is_open_by_its_own_least_role_or_a_grant_on_it(
    person: Actor, verb: str, place: Target
) -> None:
    level = RULES[verb].scope.level
    by_grant = any(g.object == place.name and g.level.includes(level) for g in person.grants)
    assert may(person, verb, place) is (includes(person.role, place.role_for(level)) or by_grant)


@given(person=people, verb=st.sampled_from(sorted(ON_OBJECTS)))
def test_without_an_object_the_answer_is_whether_there_can_be_one(person: Actor, verb: str) -> None:
    kinds = {"place"} if verb in ON_PLACES else {"host", "tag"}
    level = RULES[verb].scope.level
    by_grant = any(g.kind in kinds and g.level.includes(level) for g in person.grants)
    assert may(person, verb) is (includes(person.role, RULES[verb].role) or by_grant)


def test_a_place_asks_for_no_less_than_the_verb() -> None:
    lax = Target("place:lax", roles=((Level.WRITE, Role.VIEWER),))
    vera = Actor(ActorKind.PERSON, "vera", role=Role.VIEWER)
    assert not may(vera, "file.write", lax)


def lies_in(name: str, target: Target, within: Within) -> bool:
    return all(name in bounds.names or bounds.tags & target.tags for bounds in within or ())


def test_a_run_is_allowed_when_each_of_its_hosts_is() -> None:
    runs = {"one": [FLEET["web1"]], "two": [FLEET["web1"], FLEET["db1"]], "gone": [Target("host:")]}
    ask = ObjectJudge({"run": lambda run_id: runs.get(run_id, [])})
    wanda = Actor(ActorKind.PERSON, "wanda", grants=(Grant(Level.RUN, "tag:web"),), person_id="1")
    vera = Actor(ActorKind.PERSON, "vera", role=Role.VIEWER, person_id="2")
    assert [ask(wanda, "run.read", f"run:{name}") for name in ("one", "two", "gone", "none")] == [
        True,
        False,
        False,
        False,
    ]
    assert all(ask(vera, "run.read", f"run:{name}") for name in ("one", "two", "gone"))
    assert ask(wanda, "run.start") is True
    assert ask(wanda, "host.write", "host:web1") is False


def test_each_verdict_gives_its_reason() -> None:
    wanda = Actor(ActorKind.PERSON, "wanda", grants=(Grant(Level.RUN, "tag:web", "team"),), person_id="1")
    assert judge(wanda, "run.start", FLEET["web1"]).reason == (
        "Granted: run on tag:web through the group team."
    )
    assert judge(wanda, "run.start", FLEET["db1"]).reason == (
        "It takes the role operator or a grant, which an administrator can give."
    )
    assert judge(wanda, "person.write").reason == (
        "It takes the role administrator, which an administrator can give."
    )
