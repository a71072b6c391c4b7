"""Credentials of the foreign formats: what each accepts, and that it opens nothing else."""

from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask
from joserfc import jwt
from joserfc.jwk import OctKey

from quarterdeck.access.machines import Expired, Machine, Machines
from quarterdeck.access.permissions import MACHINE_VERBS, RULES, may
from quarterdeck.core.config import Settings, SettingsError, load_settings
from quarterdeck.core.errors import Unauthenticated
from tests.access.factories import Deck

PIPELINE = "q8Zr1vKx0Lw5Tn3Hd7Yb2Cs9"
MONITORING = "M4kz7Qe2Wd9Xo1Vb6Ns3Lt8JpR5u"
NOTEBOOK = "Nf6Hc1Ga8Yx3Kq0Ze5Rw2Bm7Tj4v"


@pytest.fixture
def machines(deck: Deck, tmp_path: Path) -> Machines:
    settings = Settings(
        home=tmp_path, pipeline_token=PIPELINE, monitoring_key=MONITORING, notebook_key=NOTEBOOK
    )
    return Machines(deck.clock, settings)


def signed(key: str, claims: dict[str, Any], alg: str = "HS256") -> str:
    return jwt.encode({"alg": alg}, claims, OctKey.import_key(key), algorithms=[alg])


def bearer(secret: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {secret}"}


def notebook(deck: Deck, **more: Any) -> str:  # Any: claims hold JSON
    now = int(deck.clock.now().timestamp())
    return signed(NOTEBOOK, {"sub": 7, "type": "access", "iat": now, "nbf": now, "exp": now + 60} | more)


def test_each_credential_gives_an_actor_that_may_its_own_verbs_only(machines: Machines, deck: Deck) -> None:
    shown = {
        Machine.PIPELINE: PIPELINE,
        Machine.STATUS: signed(MONITORING, {"stackmon": ""}),
        Machine.NOTEBOOK: notebook(deck),
        Machine.NOTEBOOK_REFRESH: notebook(deck, type="refresh"),
    }
    every = {verb for verbs in MACHINE_VERBS.values() for verb in verbs} | set(RULES)
    for kind, secret in shown.items():
        actor = machines.identify(kind, bearer(secret), "192.0.2.1")
        assert {verb for verb in every if may(actor, verb)} == MACHINE_VERBS[kind.value]
        for other in set(Machine) - {kind}:
            with pytest.raises(Unauthenticated):
                machines.identify(other, bearer(secret))


def test_no_foreign_credential_counts_on_the_general_routes(app: APIFlask, deck: Deck) -> None:
    for secret in (PIPELINE, signed(MONITORING, {"stackmon": "x"}), notebook(deck)):
        assert app.test_client().get("/api/v1/me", headers=bearer(secret)).status_code == 401


def test_a_deeply_nested_header_is_a_bad_bearer_and_no_fault(app: APIFlask) -> None:
    deep = "W1tb" * 450 + ".e30.AA"
    assert app.test_client().get("/api/v1/me", headers=bearer(deep)).status_code == 401


@pytest.mark.parametrize(
    ("kind", "scheme", "counts"),
    [
        (Machine.PIPELINE, "bearer", False),
        (Machine.STATUS, "bEARER", True),
        (Machine.STATUS, "Basic", False),
    ],
)
def test_the_scheme_is_read_as_the_format_says(
    machines: Machines, kind: Machine, scheme: str, counts: bool
) -> None:
    secret = PIPELINE if kind is Machine.PIPELINE else signed(MONITORING, {"stackmon": "x"})
    if counts:
        assert machines.identify(kind, bearer(secret, scheme)).name == kind.value
        return
    with pytest.raises(Unauthenticated):
        machines.identify(kind, bearer(secret, scheme))


@pytest.mark.parametrize("claims", [
    {}, {"stackmon": None}, {"stackmon": False}, {"stackmon": 0}, {"stackmon": "x", "aud": "status"},
    {"stackmon": "x", "nbf": 99999999999}, {"stackmon": "x", "iat": 99999999999},
    {"stackmon": "x", "exp": 1}, {"stackmon": "x", "exp": "soon"}, {"stackmon": "x", "exp": True},
    {"stackmon": "x", "exp": float("nan")},
])  # fmt: skip
def test_monitoring_refuses_these_claims(machines: Machines, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        machines.identify(Machine.STATUS, bearer(signed(MONITORING, claims)))


@pytest.mark.parametrize("secret", [
    signed(NOTEBOOK, {"stackmon": "x"}),
    signed(MONITORING * 2, {"stackmon": "x"}, "HS512"),
    "eyJhbGciOiJub25lIn0.eyJzdGFja21vbiI6IngifQ.",
    "null", "a.b.c", "é", "W" * 2000 + ".e30.", "W1tb" * 450 + ".e30.AA",
])  # fmt: skip
def test_monitoring_refuses_a_foreign_key_another_algorithm_and_none(machines: Machines, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        machines.identify(Machine.STATUS, bearer(secret))


def test_a_token_of_notebooks_ends_at_exactly_its_time(machines: Machines, deck: Deck) -> None:
    secret = notebook(deck)
    assert machines.identify(Machine.NOTEBOOK, bearer(secret)).name == "notebook:7"
    deck.clock.forward(seconds=60)
    with pytest.raises(Expired):
        machines.identify(Machine.NOTEBOOK, bearer(secret))


def test_without_a_secret_nothing_is_accepted(deck: Deck, tmp_path: Path) -> None:
    bare = Machines(deck.clock, Settings(home=tmp_path))
    for kind in Machine:
        for secret in ("", "None", PIPELINE, notebook(deck)):
            with pytest.raises(Unauthenticated):
                bare.identify(kind, bearer(secret))


@pytest.mark.parametrize("name", ["TOKEN", "SDB_SECRET_KEY", "JWT_SECRET_KEY", "MASTER_BEARER_TOKEN"])
@pytest.mark.parametrize("secret", [
    "mysecrettoken", "dev", "changeme", "secret", "stackmon", "mysecrettokenmysecrettoken", "a" * 40,
    "change-me-in-production-please", "super-secret-jwt-key-12345",
])  # fmt: skip
def test_the_start_refuses_known_and_short_secrets(tmp_path: Path, name: str, secret: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"QUARTERDECK_HOME": str(tmp_path), name: secret})
    assert "secret" in refused.value.message
    assert secret not in refused.value.message or secret == "secret"
