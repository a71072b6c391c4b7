"""``quarterdeck person`` and ``quarterdeck token``; on a home they work beside a running master."""

import sys
from datetime import UTC, datetime
from typing import Protocol

import click

from quarterdeck.access.book import AccessBook
from quarterdeck.access.tokens import MAX_DAYS
from quarterdeck.core.actors import Actor, Level, Role

_ROLES = [*(role.value for role in Role), "none"]


class Node(Protocol):
    """What these commands need: of the node whose home they work on, or of a master's API."""

    @property
    def access(self) -> AccessBook: ...
    @property
    def actor(self) -> Actor: ...
    @property
    def address(self) -> str:
        """Where people open the pages."""

    def person_id(self, name: str) -> str: ...


@click.group()
def person() -> None:
    """Who may sign in, and what each may do."""


@person.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default="none", help="What the person may do.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--service", is_flag=True, help="A service account: it owns tokens and never signs in.")
@click.pass_obj
def person_add(node: Node, name: str, role: str, password_stdin: bool, service: bool) -> None:
    """Add somebody. Without a password, a one-time sign-in link is printed."""
    password = _read_password() if password_stdin else None
    added = node.access.add_person(node.actor, name, role=_role(role), password=password, is_service=service)
    click.echo(f"Added {added.name} ({added.role or 'no role'}).", err=True)
    if password is None and not service:
        _print_link(node, node.access.new_sign_in_link(node.actor, added.name))


@person.command("list")
@click.pass_obj
def person_list(node: Node) -> None:
    """List people: name, role, state and last sign-in, apart by tabs."""
    for each in node.access.list_people():
        seen = each.last_sign_in_at.isoformat(timespec="seconds") if each.last_sign_in_at else "never"
        click.echo("\t".join((each.name, each.role or "none", each.state(datetime.now(UTC)), seen)))


@person.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(_ROLES))
@click.pass_obj
def person_role(node: Node, name: str, role: str) -> None:
    """Change a role. The person's sessions end and tokens are revoked."""
    changed = node.access.set_role(node.actor, name, _role(role))
    click.echo(f"{changed.name} is {changed.role or 'without a role'} now.", err=True)


@person.command("disable")
@click.argument("name")
@click.pass_obj
def person_disable(node: Node, name: str) -> None:
    """Keep a person out, at once."""
    click.echo(f"{node.access.disable(node.actor, name).name} is disabled.", err=True)


@person.command("enable")
@click.argument("name")
@click.pass_obj
def person_enable(node: Node, name: str) -> None:
    """Let a person in again, and end a lock-out."""
    click.echo(f"{node.access.enable(node.actor, name).name} is enabled.", err=True)


@person.command("password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def person_password(node: Node, name: str, password_stdin: bool) -> None:
    """Set a password. The person's sessions end and tokens are revoked."""
    if password_stdin:
        password = _read_password()
    else:
        password = click.prompt("New password", hide_input=True, confirmation_prompt=True)
    node.access.set_password(node.actor, name, password)
    click.echo("The password is set.", err=True)


@person.command("link")
@click.argument("name")
@click.pass_obj
def person_link(node: Node, name: str) -> None:
    """Print a link that signs a person in once, and for a short time."""
    _print_link(node, node.access.new_sign_in_link(node.actor, name))


@click.group()
def token() -> None:
    """Credentials of programs."""


@token.command("create")
@click.option("--person", "name", required=True, help="Whom the token acts for.")
@click.option("--name", "label", required=True, help="What it is called, such as the program's name.")
@click.option(
    "--scope", required=True, help=f"{', '.join(Level)}; or narrower, such as “hosts:read runs:run”."
)
@click.option("--expires-days", type=click.IntRange(1, MAX_DAYS), help="Never, if left out.")
@click.option("--host-tag", "tags", multiple=True, help="Only hosts of this tag; may be repeated.")
@click.pass_obj
def token_create(
    node: Node, name: str, label: str, scope: str, expires_days: int | None, tags: tuple[str, ...]
) -> None:
    """Make a token and print it, this once."""
    created = node.access.create_token(
        node.actor, name, label, scope, expires_days=expires_days, host_tags=tags or None
    )
    until = created.record.expires_at
    ends = f"until {until.isoformat(timespec='seconds')}" if until else "until it is revoked"
    click.echo(
        f"Token {created.record.id} acts for {name} ({created.record.scope}) {ends}; it is not shown again:",
        err=True,
    )
    click.echo(created.secret)


@token.command("list")
@click.option("--person", "name", help="Only this person's.")
@click.pass_obj
def token_list(node: Node, name: str | None) -> None:
    """List tokens, apart by tabs: id, person, name, scope, expiry, last use, its address, tags of hosts.

    Without tags (``-``) a token reaches as far as its person.
    """
    person_id = node.person_id(name) if name else None
    for each in node.access.tokens_of(person_id):
        ends = each.expires_at.isoformat(timespec="seconds") if each.expires_at else "never"
        used = each.last_used_at.isoformat(timespec="seconds") if each.last_used_at else "never"
        tags = "-" if each.host_tags is None else ",".join(each.host_tags)
        address = each.last_used_address or "-"
        click.echo("\t".join((each.id, each.person, each.label, each.scope, ends, used, address, tags)))


@token.command("rotate")
@click.argument("token_id", metavar="ID")
@click.option("--overlap-hours", type=click.IntRange(0, 168), default=24, show_default=True)
@click.pass_obj
def token_rotate(node: Node, token_id: str, overlap_hours: int) -> None:
    """Make a new secret for a token and print it; the old one counts for the overlap."""
    made = node.access.rotate_token(node.actor, token_id, overlap_hours=overlap_hours)
    click.echo(f"Token {made.record.id} takes the place of {token_id}; it is not shown again:", err=True)
    click.echo(made.secret)


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@click.pass_obj
def token_revoke(node: Node, token_id: str) -> None:
    """Revoke a token by its id."""
    node.access.revoke_token(node.actor, token_id)
    click.echo("The token is revoked.", err=True)


def _role(text: str) -> Role | None:
    return None if text == "none" else Role(text)


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _print_link(node: Node, path: str) -> None:
    click.echo("This link works once, and for a short time only:", err=True)
    click.echo(node.address + path)
