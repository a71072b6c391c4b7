"""What an OpenID provider says about itself (OpenID Connect Discovery 1.0), and what of it is accepted."""

from dataclasses import dataclass
from typing import Any, Final

from quarterdeck.access.providers.faults import Fault
from quarterdeck.access.providers.outgoing import checked_endpoint, members
from quarterdeck.core.identity_settings import ProviderSettings

PATH: Final = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Metadata:
    """The provider's addresses and habits."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    end_session_endpoint: str
    announces_iss: bool
    """It puts its issuer into the callback (RFC 9207), so that a callback without is another's."""
    secret_in_form: bool
    """It takes the client's secret in the form and not in the header."""


def read_metadata(document: object, provider: ProviderSettings) -> Metadata:
    """Check a discovery document; raises Fault."""
    values = members(document, "discovery")
    if values.get("issuer") != provider.issuer:
        raise Fault("the discovery document is of another issuer")
    return Metadata(
        authorization_endpoint=_endpoint(values, "authorization_endpoint", provider),
        token_endpoint=_endpoint(values, "token_endpoint", provider),
        jwks_uri=_endpoint(values, "jwks_uri", provider),
        userinfo_endpoint=_endpoint(values, "userinfo_endpoint", provider, is_needed=False),
        end_session_endpoint=_endpoint(values, "end_session_endpoint", provider, is_needed=False),
        announces_iss=values.get("authorization_response_iss_parameter_supported") is True,
        secret_in_form=_secret_in_form(values),
    )


def _endpoint(
    values: dict[str, Any], name: str, provider: ProviderSettings, *, is_needed: bool = True
) -> str:
    if not is_needed and values.get(name) is None:
        return ""
    return checked_endpoint(values.get(name), provider.issuer, name)


def _secret_in_form(values: dict[str, Any]) -> bool:
    """Prefer the header, which is the default where nothing is said (Discovery, 3)."""
    methods = values.get("token_endpoint_auth_methods_supported")
    if not isinstance(methods, list) or "client_secret_basic" in methods:
        return False
    return "client_secret_post" in methods
