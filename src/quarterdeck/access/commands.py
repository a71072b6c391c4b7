"""``quarterdeck person`` and ``quarterdeck token``; they work beside a running master."""

import sys
from typing import Protocol

import click

from quarterdeck.access.models import PersonRecord
from quarterdeck.access.service import Access
from quarterdeck.access.tokens import MAX_DAYS
from quarterdeck.core.actors import Actor, Role, Scope
from quarterdeck.core.config import Settings

_ROLES = [*(role.value for role in Role), "none"]


class Node(Protocol):
    """What these commands need of the node whose home they work on."""

    @property
    def access(self) -> Access: ...
    @property
    def actor(self) -> Actor: ...
    @property
    def settings(self) -> Settings: ...


@click.group()
def person() -> None:
    """Who may sign in, and what each may do."""


@person.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), default="none", help="What the person may do.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def person_add(node: Node, name: str, role: str, password_stdin: bool) -> None:
    """Add somebody. Without a password, a one-time sign-in link is printed."""
    password = _read_password() if password_stdin else None
    added = node.access.add_person(node.actor, name, role=_role(role), password=password)
    click.echo(f"Added {added.name} ({added.role or 'no role'}).", err=True)
    if password is None:
        _print_link(node, node.access.new_sign_in_link(node.actor, added.name))


@person.command("list")
@click.pass_obj
def person_list(node: Node) -> None:
    """List people: name, role, state and last sign-in, apart by tabs."""
    for each in node.access.list_people():
        seen = each.last_sign_in_at.isoformat(timespec="seconds") if each.last_sign_in_at else "never"
        click.echo("\t".join((each.name, each.role or "none", _state(each), seen)))


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
    """Print a link that signs a person in once, within 15 minutes."""
    _print_link(node, node.access.new_sign_in_link(node.actor, name))


@click.group()
def token() -> None:
    """Credentials of programs."""


@token.command("create")
@click.option("--person", "name", required=True, help="Whom the token acts for.")
@click.option("--name", "label", required=True, help="What it is called, such as the program's name.")
@click.option("--scope", type=click.Choice([scope.value for scope in Scope]), required=True)
@click.option("--expires-days", type=click.IntRange(1, MAX_DAYS), help="Never, if left out.")
@click.pass_obj
def token_create(node: Node, name: str, label: str, scope: str, expires_days: int | None) -> None:
    """Make a token and print it, this once."""
    created = node.access.create_token(node.actor, name, label, Scope(scope), expires_days=expires_days)
    until = created.record.expires_at
    ends = f"until {until.isoformat(timespec='seconds')}" if until else "until it is revoked"
    click.echo(
        f"Token {created.record.id} acts for {name} ({scope}) {ends}; it is not shown again:", err=True
    )
    click.echo(created.secret)


@token.command("list")
@click.option("--person", "name", help="Only this person's.")
@click.pass_obj
def token_list(node: Node, name: str | None) -> None:
    """List tokens: id, person, name, scope, expiry and last use, apart by tabs."""
    person_id = node.access.person(name).id if name else None
    for each in node.access.tokens_of(person_id):
        ends = each.expires_at.isoformat(timespec="seconds") if each.expires_at else "never"
        used = each.last_used_at.isoformat(timespec="seconds") if each.last_used_at else "never"
        click.echo("\t".join((each.id, each.person, each.label, each.scope, ends, used)))


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@click.pass_obj
def token_revoke(node: Node, token_id: str) -> None:
    """Revoke a token by its id."""
    node.access.revoke_token(node.actor, token_id)
    click.echo("The token is revoked.", err=True)


def _role(text: str) -> Role | None:
    return None if text == "none" else Role(text)


def _state(each: PersonRecord) -> str:
    if each.is_disabled:
        return "disabled"
    return "active" if each.has_password else "invited"


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _print_link(node: Node, path: str) -> None:
    base = node.settings.public_url or node.settings.bind.url
    click.echo("This link works once, within 15 minutes:", err=True)
    click.echo(base + path)
