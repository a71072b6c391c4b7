"""``quarterdeck grant``: rights on single hosts, tags and places; works beside a running master."""

from typing import Protocol

import click

from quarterdeck.access.book import GrantBook
from quarterdeck.access.grants import LEVELS
from quarterdeck.core.actors import Actor


class Node(Protocol):
    """What these commands need of the node whose home they work on, or of a master's API."""

    @property
    def grants(self) -> GrantBook: ...
    @property
    def actor(self) -> Actor: ...


@click.group()
def grant() -> None:
    """Rights on single hosts, tags and places of files, beside the roles."""


@grant.command("add")
@click.argument("level", type=click.Choice([level.value for level in LEVELS]))
@click.argument("object_", metavar="OBJECT")
@click.option("--person", default="", help="Who gets it.")
@click.option("--group", default="", help="Or the group that gets it.")
@click.pass_obj
def grant_add(node: Node, level: str, object_: str, person: str, group: str) -> None:
    """Let a person or group read, run on or write OBJECT: tag:web or host:web1, or place:wiki."""
    given = node.grants.give(node.actor, object_, level, person=person, group=group)
    click.echo(f"{given.holder} may {given.level} on {given.object}: {given.id}", err=True)


@grant.command("list")
@click.option("--person", default="", help="Only this person's own.")
@click.option("--group", default="", help="Only this group's.")
@click.pass_obj
def grant_list(node: Node, person: str, group: str) -> None:
    """List grants: id, holder, level and object, apart by tabs."""
    for each in node.grants.list_grants(person=person, group=group):
        click.echo("\t".join((each.id, each.holder, each.level, each.object)))


@grant.command("remove")
@click.argument("grant_id", metavar="ID")
@click.pass_obj
def grant_remove(node: Node, grant_id: str) -> None:
    """Take a grant back by its id."""
    taken = node.grants.take(node.actor, grant_id)
    click.echo(f"{taken.holder} has {taken.level} on {taken.object} no more.", err=True)
