"""What the commands need of toasts, on a home or over the API of a master."""

from typing import Protocol

from quarterdeck.core.actors import Actor, Role


class ToastBook(Protocol):
    """The service itself, or ``remote.RemoteToasts``; over the API the token says who acts."""

    def send(
        self, actor: Actor, text: str, /, *, level: str, person_id: str | None, role: Role | None
    ) -> object: ...
