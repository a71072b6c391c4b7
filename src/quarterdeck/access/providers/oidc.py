"""One OpenID Connect provider: authorization code with PKCE, state and nonce, and every answer checked."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from quarterdeck.access.providers import id_token, metadata
from quarterdeck.access.providers.claims import Claims, read_groups, read_subject, read_text
from quarterdeck.access.providers.faults import Fault
from quarterdeck.access.providers.flow import Flow
from quarterdeck.access.providers.keys import Key, fitting, read_keys
from quarterdeck.access.providers.metadata import Metadata, read_metadata
from quarterdeck.access.providers.outgoing import Outgoing, members
from quarterdeck.access.providers.shapes import Contact
from quarterdeck.core.clock import Clock
from quarterdeck.core.identity_settings import ProviderSettings

KEPT_SECONDS: Final = 3_600
"""How long a discovery document and keys are believed."""
REFETCH_SECONDS: Final = 60
"""How often an unknown key makes us look for new ones at most."""
_LONGEST_HINT: Final = 6 * 1024


@dataclass(frozen=True, slots=True)
class _Tokens:
    id_token: str
    access_token: str


class OpenIdProvider:
    """Talks to one provider; its document and keys are kept for a while."""

    def __init__(self, settings: ProviderSettings, outgoing: Outgoing, clock: Clock) -> None:
        self.settings = settings
        self._outgoing = outgoing
        self._clock = clock
        self._metadata: Metadata | None = None
        self._metadata_until = 0.0
        self._keys: tuple[Key, ...] = ()
        self._keys_until = 0.0
        self._looked_again_at = -float(REFETCH_SECONDS)
        self.discovery: Contact | None = None

    async def start_url(self, flow: Flow) -> str:
        """Return where the browser goes to sign in."""
        about = await self._about()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": flow.redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": flow.challenge,
            "code_challenge_method": "S256",
        }
        return with_query(about.authorization_endpoint, query)

    async def check_issuer(self, issuer: str | None) -> None:
        """Compare the callback's ``iss`` with the provider that the flow began with (RFC 9207)."""
        about = await self._about()
        if issuer is None and about.announces_iss:
            raise Fault("iss is missing in the callback although the provider announces it")
        if issuer is not None and issuer != self.settings.issuer:
            raise Fault("iss in the callback is another issuer")

    async def claims(self, code: str, flow: Flow) -> Claims:
        """Turn a code into who has signed in; raises Fault."""
        about = await self._about()
        tokens = await self._redeem(about, code, flow)
        header = id_token.read_header(tokens.id_token)
        keys = await self._keys_for(about, header)
        expected = id_token.Expected(
            self.settings.issuer, self.settings.client_id, flow.nonce, tokens.access_token
        )
        proved = id_token.verify(tokens.id_token, header, keys, expected, self._clock.now().timestamp())
        values = await self._userinfo(about, tokens, proved) | proved
        return Claims(
            issuer=self.settings.issuer,
            subject=read_subject(proved),
            login=read_text(values, "preferred_username", "nickname", "name"),
            display_name=read_text(values, "name"),
            groups=read_groups(values, self.settings.groups_claim),
            id_token=tokens.id_token,
        )

    async def end_url(self, hint: str, return_to: str) -> str:
        """Return where the browser goes to sign out there too (RP-Initiated Logout 1.0); empty if nowhere."""
        about = await self._about()
        if not about.end_session_endpoint:
            return ""
        query = {"client_id": self.settings.client_id, "post_logout_redirect_uri": return_to}
        if hint and len(hint) <= _LONGEST_HINT:  # longer ones do not fit into an address
            query["id_token_hint"] = hint
        return with_query(about.end_session_endpoint, query)

    async def discover(self) -> Metadata:
        """Read the discovery document anew; when that fails, what is kept of the last one stays in use."""
        url = self.settings.issuer.rstrip("/") + metadata.PATH
        try:
            about = read_metadata(await self._outgoing.get(url, "discovery"), self.settings)
        except Fault as fault:
            self.discovery = Contact(self._clock.now(), fault.reason)
            raise
        self.discovery = Contact(self._clock.now())
        self._metadata, self._metadata_until = about, self._clock.monotonic() + KEPT_SECONDS
        return about

    async def _about(self) -> Metadata:
        if self._metadata is None or self._clock.monotonic() >= self._metadata_until:
            return await self.discover()
        return self._metadata

    async def _redeem(self, about: Metadata, code: str, flow: Flow) -> _Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.verifier,
        }
        headers: Mapping[str, str] = {}
        if not self.settings.client_secret:
            form["client_id"] = self.settings.client_id
        elif about.secret_in_form:
            form |= {"client_id": self.settings.client_id, "client_secret": self.settings.client_secret}
        else:
            headers = {"Authorization": basic(self.settings.client_id, self.settings.client_secret)}
        answer = members(
            await self._outgoing.post(about.token_endpoint, "exchange", form, headers=headers), "exchange"
        )
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str) or not isinstance(access, str) or not access.isascii():
            raise Fault("exchange: the id token or the access token is missing")
        if str(answer.get("token_type")).lower() != "bearer":
            raise Fault("exchange: the access token is no bearer")
        return _Tokens(token, access)

    async def _keys_for(self, about: Metadata, header: id_token.Header) -> tuple[Key, ...]:
        """Return the keys; a signature by an unknown one makes us look again at once, but not often."""
        now = self._clock.monotonic()
        is_old = self._keys == () or now >= self._keys_until
        if not is_old and not fitting(self._keys, header.alg, header.kid):
            is_old = now - self._looked_again_at >= REFETCH_SECONDS
            self._looked_again_at = now if is_old else self._looked_again_at
        if is_old:
            self._keys = read_keys(await self._outgoing.get(about.jwks_uri, "keys"))
            self._keys_until = now + KEPT_SECONDS
        return self._keys

    async def _userinfo(self, about: Metadata, tokens: _Tokens, proved: dict[str, Any]) -> dict[str, Any]:
        if not about.userinfo_endpoint:
            return {}
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        answer = await self._outgoing.get(about.userinfo_endpoint, "userinfo", headers=headers)
        values = members(answer, "userinfo")
        if values.get("sub") != proved["sub"]:
            raise Fault("userinfo is about another sub than the id token")
        return values


def basic(client_id: str, secret: str) -> str:
    """Return the header of a client with a secret, both form-encoded first (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def with_query(url: str, query: Mapping[str, str]) -> str:
    """Return an address with parameters added to those it has."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
