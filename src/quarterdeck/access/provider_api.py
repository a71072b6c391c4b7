"""Identity providers for programs: as the settings make them, and never a secret."""

from dataclasses import asdict
from datetime import datetime

from apiflask import APIBlueprint
from pydantic import BaseModel

from quarterdeck.access.providers.service import Providers
from quarterdeck.access.providers.shapes import ProviderView
from quarterdeck.core import web
from quarterdeck.core.identity_values import ProviderKind

blueprint = APIBlueprint("provider_api", __name__, url_prefix="/api/v1", tag="People")


class ContactOut(BaseModel, title="ProviderContact"):
    """When it happened, and what went wrong; ``error`` is empty where nothing did."""

    at: datetime
    error: str


class ProviderStateOut(BaseModel):
    """Since the node started, but for ``last_used_at``; null for what has not happened."""

    discovery: ContactOut | None
    refusal: ContactOut | None
    last_used_at: datetime | None


class ProviderOut(BaseModel):
    """A provider; the rules say what is given to the members of which groups there."""

    name: str
    kind: ProviderKind
    label: str
    issuer: str
    client_id: str
    has_secret: bool
    scopes: list[str]
    groups_claim: str
    required_group: str
    default_role: str
    role_rules: dict[str, list[str]]
    group_rules: dict[str, list[str]]
    callback_path: str
    people: int
    given_by: list[str]
    state: ProviderStateOut


class ProvidersOut(BaseModel, title="ProviderList"):
    providers: list[ProviderOut]
    has_local_sign_in: bool


@blueprint.get("/providers")
@blueprint.output(ProvidersOut)
@blueprint.doc(summary="Identity providers, as the settings make them")
@web.allow("person.read")
def provider_list() -> ProvidersOut:
    providers = web.part(Providers)
    return ProvidersOut(
        providers=[_provider(view) for view in providers.listing()],
        has_local_sign_in=providers.has_local_sign_in,
    )


@blueprint.post("/providers/<name>/check")
@blueprint.output(ProviderOut)
@blueprint.doc(summary="Read a provider's discovery document now", responses={429: "Too many wait for one"})
@web.allow("person.read")
def provider_check(name: str) -> ProviderOut:
    """What came out is in `state.discovery`. GitHub has no such document; nothing is asked there."""
    providers = web.part(Providers)
    providers.check(web.actor(), name)
    return next(_provider(view) for view in providers.listing() if view.name == name)


def _provider(view: ProviderView) -> ProviderOut:
    rules = {"role_rules": dict(view.role_rules), "group_rules": dict(view.group_rules)}
    return ProviderOut.model_validate(asdict(view) | rules)
