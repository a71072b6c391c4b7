"""Toasts over the API of a master, for the commands."""

from quarterdeck.core.actors import Actor, Role
from quarterdeck.core.api_client import ApiClient
from quarterdeck.core.errors import Invalid, NotFound
from quarterdeck.notify.models import TEXT_LENGTH


class RemoteToasts:
    """Sends as the service does; who acts is whose token it is, and a person's id is the name."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def send(
        self, _actor: Actor, text: str, *, level: str = "info", person_id: str | None = None,
        role: Role | None = None,
    ) -> object:  # fmt: skip
        cut = text if len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"  # as the service does
        body = {"text": cut, "level": level, "person": person_id, "role": role}
        try:
            return self._client.send("POST", "/api/v1/toasts", body)
        except Invalid as error:
            if error.fields.keys() == {"person"}:  # a home looks the person up first, which finds nobody
                raise NotFound(error.fields["person"]) from error
            raise
