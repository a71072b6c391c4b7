"""GitHub: OAuth with state and PKCE; who has signed in is asked of its API, by number and not by name."""

from typing import Any, Final

from quarterdeck.access.providers.claims import Claims, read_text
from quarterdeck.access.providers.faults import Fault
from quarterdeck.access.providers.flow import Flow
from quarterdeck.access.providers.oidc import with_query
from quarterdeck.access.providers.outgoing import Outgoing, error_word, members
from quarterdeck.core.identity_settings import ProviderSettings

_PAGE: Final = 100
_MOST_PAGES: Final = 10


class GitHubProvider:
    """Talks to one GitHub server, which has no discovery document."""

    discovery = None

    def __init__(self, settings: ProviderSettings, outgoing: Outgoing) -> None:
        self.settings = settings
        self._outgoing = outgoing

    async def discover(self) -> None:
        """Do nothing: all addresses follow from the settings."""

    async def start_url(self, flow: Flow) -> str:
        """Return where the browser goes to sign in."""
        query = {
            "client_id": self.settings.client_id,
            "redirect_uri": flow.redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": flow.state,
            "code_challenge": flow.challenge,
            "code_challenge_method": "S256",
        }
        return with_query(f"{self.settings.web_url}/login/oauth/authorize", query)

    async def check_issuer(self, issuer: str | None) -> None:
        """Refuse another server's ``iss``; GitHub itself need not send one."""
        own = (self.settings.web_url, f"{self.settings.web_url}/login/oauth")
        if issuer is not None and issuer not in own:
            raise Fault("iss in the callback is another issuer")

    async def claims(self, code: str, flow: Flow) -> Claims:
        """Turn a code into who has signed in; raises Fault."""
        headers = {"Authorization": f"Bearer {await self._redeem(code, flow)}"}
        user = members(await self._get("/user", headers), "user")
        number = user.get("id")
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**63:
            raise Fault("user: the id is missing or no number")
        groups = await self._groups(headers) if self.settings.reads_groups else frozenset()
        return Claims(
            issuer=self.settings.issuer,
            subject=str(number),
            login=read_text(user, "login"),
            display_name=read_text(user, "name"),
            groups=groups,
        )

    async def end_url(self, hint: str, return_to: str) -> str:
        """Return an empty text: GitHub has no address for signing out of it from elsewhere."""
        return ""

    async def _redeem(self, code: str, flow: Flow) -> str:
        form = {
            "client_id": self.settings.client_id,
            "client_secret": self.settings.client_secret,
            "code": code,
            "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.verifier,
        }
        url = f"{self.settings.web_url}/login/oauth/access_token"
        answer = members(await self._outgoing.post(url, "exchange", form), "exchange")
        token = answer.get("access_token")
        if "error" in answer or not isinstance(token, str) or not token.isascii() or not token.isprintable():
            # GitHub answers 200 also when it refuses a code.
            raise Fault(f"exchange: refused ({error_word(answer.get('error')) or 'no access token'})")
        return token

    async def _groups(self, headers: dict[str, str]) -> frozenset[str]:
        """Return organisations as ``org`` and teams as ``org/team``."""
        names = set()
        for each in await self._all("/user/orgs", headers):
            names.add(_name(each, "login"))
        for each in await self._all("/user/teams", headers):
            organisation = members(each.get("organization"), "team")
            names.add(f"{_name(organisation, 'login')}/{_name(each, 'slug')}")
        return frozenset(names)

    async def _all(self, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for page in range(1, _MOST_PAGES + 1):
            answer = await self._get(f"{path}?per_page={_PAGE}&page={page}", headers)
            if not isinstance(answer, list):
                raise Fault(f"{path}: no list")
            found += [members(each, path) for each in answer]
            if len(answer) < _PAGE:
                break
        return found

    async def _get(self, path: str, headers: dict[str, str]) -> Any:
        return await self._outgoing.get(
            f"{self.settings.api_url}{path}",
            path.partition("?")[0],
            headers=headers | {"X-GitHub-Api-Version": "2022-11-28"},
        )


def _name(values: dict[str, Any], key: str) -> str:
    name = values.get(key)
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        raise Fault(f"{key} of an organisation or team is no name")
    return name.lower()
