"""What the commands need of people and tokens, on a home or over the API of a master."""

from typing import Protocol

from quarterdeck.access.grants import GrantRecord
from quarterdeck.access.models import PersonRecord, TokenRecord
from quarterdeck.access.tokens import NewToken
from quarterdeck.core.actors import Actor, Role


class AccessBook(Protocol):
    """The service itself, or ``remote.RemoteAccess``; over the API the token says who acts."""

    def list_people(self) -> list[PersonRecord]: ...

    def add_person(
        self,
        actor: Actor,
        name: str,
        /,
        *,
        role: Role | None = None,
        password: str | None = None,
        is_service: bool = False,
    ) -> PersonRecord: ...

    def set_role(self, actor: Actor, name: str, role: Role | None, /) -> PersonRecord: ...

    def disable(self, actor: Actor, name: str, /) -> PersonRecord: ...

    def enable(self, actor: Actor, name: str, /) -> PersonRecord: ...

    def set_password(self, actor: Actor, name: str, password: str, /) -> None: ...

    def new_sign_in_link(self, actor: Actor, name: str, /) -> str: ...

    def create_token(
        self,
        actor: Actor,
        name: str,
        label: str,
        scope: str,
        /,
        *,
        expires_days: int | None = None,
        host_tags: tuple[str, ...] | None = None,
    ) -> NewToken: ...

    def rotate_token(self, actor: Actor, token_id: str, /, *, overlap_hours: int) -> NewToken: ...

    def tokens_of(self, person_id: str | None = None) -> list[TokenRecord]: ...

    def revoke_token(self, actor: Actor, token_id: str, /) -> None: ...


class GrantBook(Protocol):
    """What the commands need of grants: the service itself, or ``remote.RemoteGrants``."""

    def give(
        self, actor: Actor, object_: str, level: str, /, *, person: str = "", group: str = ""
    ) -> GrantRecord: ...

    def list_grants(self, *, person: str = "", group: str = "") -> list[GrantRecord]: ...

    def take(self, actor: Actor, grant_id: str, /) -> GrantRecord: ...
