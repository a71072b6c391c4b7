"""``quarterdeck toast``."""

from typing import Protocol

import click

from quarterdeck.core.actors import Actor, Role
from quarterdeck.notify.book import ToastBook
from quarterdeck.notify.models import ToastLevel


class Node(Protocol):
    """What these commands need: of the node whose home they work on, or of a master's API."""

    @property
    def toasts(self) -> ToastBook: ...
    @property
    def actor(self) -> Actor: ...

    def person_id(self, name: str) -> str: ...


@click.group("toast")
def group() -> None:
    """Messages on people's pages."""


@group.command("send")
@click.argument("text")
@click.option("--level", type=click.Choice([level.value for level in ToastLevel]), default="info")
@click.option("--person", help="To this person.")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="To this role and above.")
@click.pass_obj
def toast_send(node: Node, text: str, level: str, person: str | None, role: str | None) -> None:
    """Send a message to a person, a role, or all. It appears on each one's next page."""
    person_id = node.person_id(person) if person else None
    node.toasts.send(node.actor, text, level=level, person_id=person_id, role=Role(role) if role else None)
    click.echo(f"Sent to {person or role or 'all'}.", err=True)
