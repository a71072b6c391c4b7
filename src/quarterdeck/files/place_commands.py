"""Places and files on the command line: on a home, whose master may be running, or over an API."""

import sys
from typing import Any, Protocol

import click

from quarterdeck.core.actors import Actor, Role
from quarterdeck.files.book import FileBook
from quarterdeck.files.models import PlaceKind, PlaceRecord
from quarterdeck.files.paths import shown as shown_path
from quarterdeck.files.place_drafts import WRITE_ROLES, PlaceDraft
from quarterdeck.files.text.texts import shown


class Node(Protocol):
    """What these commands need: of the node whose home they work on, or of a master's API."""

    @property
    def files(self) -> FileBook: ...
    @property
    def actor(self) -> Actor: ...


@click.group()
def place() -> None:
    """Repositories whose files people look at and change.

    A token comes from a file or from standard input ("-"), never from an argument: arguments are seen by
    everybody on the machine.
    """


@click.group()
def file() -> None:
    """Files of those repositories."""


@place.command("add")
@click.argument("name")
@click.option("--kind", type=click.Choice([kind.value for kind in PlaceKind]), required=True)
@click.option("--url", default="", help="Address of a Data Center; folder of a local repository.")
@click.option("--project", default="", help="Workspace (cloud) or project key (datacenter).")
@click.option("--repository", default="", help="As it stands in the repository's address.")
@click.option("--branch", "default_branch", default="", help="Default branch.  [the repository's own]")
@click.option("--allow", "allowed_paths", multiple=True, help="Path or pattern; may be given again.  [all]")
@click.option("--user", "username", default="", help="E-mail or name that goes with the token.")
@click.option("--token-file", type=click.File(), help="Token.")
@click.option("--ca-file", type=click.File(), help="Authorities (PEM) to trust besides the machine's.")
@click.option("--read-role", type=click.Choice([role.value for role in Role]), default="viewer")
@click.option("--write-role", type=click.Choice([role.value for role in WRITE_ROLES]), default="operator")
@click.pass_obj
def place_add(node: Node, /, name: str, **values: Any) -> None:  # Any: what click read
    """Add a place. `quarterdeck place test NAME` then says whether all is well."""
    token_file, ca_file = values.pop("token_file"), values.pop("ca_file")
    values["kind"] = PlaceKind(values["kind"])
    values["read_role"], values["write_role"] = Role(values["read_role"]), Role(values["write_role"])
    token = token_file.read().strip() if token_file else None
    authorities = ca_file.read() if ca_file else ""
    draft = PlaceDraft(name=name, token=token, authorities=authorities, **values)
    click.echo(f"{node.files.places.add(node.actor, draft).name} is added.", err=True)


@place.command("list")
@click.pass_obj
def place_list(node: Node) -> None:
    """List the places: name, kind, repository, who may read and who may change, apart by tabs."""
    for each in node.files.places.list_places(node.actor):
        roles = (each.read_role.value, each.write_role.value)
        click.echo("\t".join((each.name, each.kind.value, _where(each), *roles)))


@place.command("remove")
@click.argument("name")
@click.pass_obj
def place_remove(node: Node, name: str) -> None:
    """Remove a place with its token; the repository stays as it is."""
    node.files.places.remove(node.actor, name)
    click.echo(f"{name} is removed.", err=True)


@place.command("test")
@click.argument("name")
@click.pass_obj
def place_test(node: Node, name: str) -> None:
    """Try address, token, repository, branch and rights; exits with 1 when something is not as it should."""
    checks = node.files.places.test(node.actor, name)
    for check in checks:
        click.echo(f"{'ok' if check.is_ok else 'NOT OK':<7} {check.name:<11} {shown(check.detail)}")
    if not all(check.is_ok for check in checks):
        raise click.exceptions.Exit(1)


@file.command("find")
@click.argument("place_name", metavar="PLACE")
@click.argument("words", nargs=-1)
@click.option("--ref", default="", help="Branch, tag or commit.  [default branch]")
@click.option("--limit", "-n", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.pass_obj
def file_find(node: Node, place_name: str, words: tuple[str, ...], ref: str, limit: int) -> None:
    """List the files whose path fits the WORDS, the best first."""
    for entry in node.files.find(node.actor, place_name, " ".join(words), ref=ref, limit=limit):
        click.echo(shown_path(entry.path))


@file.command("show")
@click.argument("place_name", metavar="PLACE")
@click.argument("path")
@click.option("--ref", default="", help="Branch, tag or commit.  [default branch]")
@click.pass_obj
def file_show(node: Node, place_name: str, path: str, ref: str) -> None:
    """Write the contents of a file to standard output.

    As they are stored into a file or a pipe; on a terminal, what would act on it stands as a sign.
    """
    content = node.files.read(node.actor, place_name, path, ref=ref)
    if not sys.stdout.isatty():
        click.echo(content, nl=False)
        return
    for line in content.decode(errors="replace").splitlines():
        click.echo(shown(line))


def _where(record: PlaceRecord) -> str:
    return f"{record.project}/{record.repository}" if record.project else record.url
