"""People and tokens over the API of a master, for the commands."""

from quarterdeck.access.grants import GrantRecord
from quarterdeck.access.models import PersonRecord, TokenRecord
from quarterdeck.access.tokens import NewToken
from quarterdeck.core.actors import Actor, Role
from quarterdeck.core.api_client import ApiClient, Json, step
from quarterdeck.core.errors import NotFound


class RemoteAccess:
    """An ``AccessBook``; who acts is whose token it is. People have no ids here but their names."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._links: dict[str, str] = {}
        """Of people just added: the link that came with the answer."""

    def list_people(self) -> list[PersonRecord]:
        people = self._client.part(self._client.get("/api/v1/people"), "people")
        return [self._person(person) for person in self._client.read(list[Json], people)]

    def add_person(
        self,
        _actor: Actor,
        name: str,
        *,
        role: Role | None = None,
        password: str | None = None,
        is_service: bool = False,
    ) -> PersonRecord:
        body = {"name": name, "role": role, "password": password, "is_service": is_service}
        answer = self._client.send("POST", "/api/v1/people", body)
        added = self._person(answer)
        if password is None and not is_service:
            self._links[added.name] = self._client.read(str, answer.get("sign_in_path"))
        return added

    def set_role(self, _actor: Actor, name: str, role: Role | None) -> PersonRecord:
        return self._change(name, {"role": role})

    def disable(self, _actor: Actor, name: str) -> PersonRecord:
        return self._change(name, {"is_disabled": True})

    def enable(self, _actor: Actor, name: str) -> PersonRecord:
        return self._change(name, {"is_disabled": False})

    def set_password(self, _actor: Actor, name: str, password: str) -> None:
        self._change(name, {"password": password})

    def new_sign_in_link(self, _actor: Actor, name: str) -> str:
        if name in self._links:
            return self._links.pop(name)
        answer = self._client.send("POST", f"/api/v1/people/{step(name)}/link")
        return self._client.read(str, answer.get("sign_in_path"))

    def create_token(
        self,
        _actor: Actor,
        name: str,
        label: str,
        scope: str,
        *,
        expires_days: int | None = None,
        host_tags: tuple[str, ...] | None = None,
    ) -> NewToken:
        body: Json = {"person": name, "label": label, "scope": scope, "expires_days": expires_days}
        body["host_tags"] = None if host_tags is None else list(host_tags)
        answer = self._client.send("POST", "/api/v1/tokens", body)
        return NewToken(self._token(answer), self._client.read(str, answer.get("token")))

    def rotate_token(self, _actor: Actor, token_id: str, *, overlap_hours: int) -> NewToken:
        body = {"overlap_hours": overlap_hours}
        answer = self._client.send("POST", f"/api/v1/tokens/{step(token_id)}/rotate", body)
        return NewToken(self._token(answer), self._client.read(str, answer.get("token")))

    def tokens_of(self, person_id: str | None = None) -> list[TokenRecord]:
        asked = {"person": person_id} if person_id else {"all": True}
        tokens = self._client.part(self._client.get("/api/v1/tokens", **asked), "tokens")
        return [self._token(token) for token in self._client.read(list[Json], tokens)]

    def revoke_token(self, _actor: Actor, token_id: str) -> None:
        self._client.send("DELETE", f"/api/v1/tokens/{step(token_id)}")

    def _change(self, name: str, change: Json) -> PersonRecord:
        return self._person(self._client.send("PATCH", f"/api/v1/people/{step(name)}", change))

    def _person(self, answer: Json) -> PersonRecord:
        return self._client.read(PersonRecord, {"id": answer.get("name"), **answer})

    def _token(self, answer: Json) -> TokenRecord:
        unknown = {"person_id": answer.get("person"), "host_tags": None, "revoked_at": None}
        return self._client.read(TokenRecord, {**unknown, **answer})


class RemoteGrants:
    """A ``GrantBook``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def give(
        self, _actor: Actor, object_: str, level: str, *, person: str = "", group: str = ""
    ) -> GrantRecord:
        body = {"object": object_, "level": level, "person": person, "group": group}
        return self._client.read(GrantRecord, self._client.send("POST", "/api/v1/grants", body))

    def list_grants(self, *, person: str = "", group: str = "") -> list[GrantRecord]:
        asked = {name: value for name, value in {"person": person, "group": group}.items() if value}
        grants = self._client.part(self._client.get("/api/v1/grants", **asked), "grants")
        return self._client.read(list[GrantRecord], grants)

    def take(self, _actor: Actor, grant_id: str) -> GrantRecord:
        """Take a grant back; what it was is asked before, as the answer does not say."""
        found = next((grant for grant in self.list_grants() if grant.id == grant_id), None)
        if found is None:
            raise NotFound("There is no such grant, or it was taken back already.")
        self._client.send("DELETE", f"/api/v1/grants/{step(grant_id)}")
        return found
