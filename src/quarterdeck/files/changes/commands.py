"""Changes of files on the command line: on a home, whose master may be running, or over an API."""

import sys
from typing import BinaryIO, Protocol

import click

from quarterdeck.core.actors import Actor
from quarterdeck.files.changes.book import ChangeBook
from quarterdeck.files.changes.committing import CommitWish
from quarterdeck.files.changes.forms import states_of
from quarterdeck.files.changes.originals import Wanted
from quarterdeck.files.changes.proposing import ProposalWish
from quarterdeck.files.changes.records import ChangeRecord
from quarterdeck.files.changes.store import ChangeQuery
from quarterdeck.files.models import DraftAction
from quarterdeck.files.paths import shown as shown_path
from quarterdeck.files.text.texts import shown


class Node(Protocol):
    """What these commands need: of the node whose home they work on, or of a master's API."""

    @property
    def changes(self) -> ChangeBook: ...
    @property
    def actor(self) -> Actor: ...


@click.group()
def change() -> None:
    """Change files of repositories, each change on a branch of its own.

    \b
    quarterdeck change begin conf app.yml            (prints the id of the change)
    quarterdeck change put ID app.yml < app.yml
    quarterdeck change commit ID --message "Raise the limit"
    quarterdeck change propose ID --title "Raise the limit"
    """


@change.command("list")
@click.option("--state", default="unfinished", show_default=True, help="States with commas, or “all”.")
@click.option("--place", "place_name", default="", help="Of this place only.")
@click.option("--person", default="", help="Of this person only.")
@click.option("--limit", "-n", type=click.IntRange(1, 500), default=50, show_default=True)
@click.pass_obj
def list_(node: Node, /, state: str, place_name: str, person: str, limit: int) -> None:
    """List changes, newest first: id, state, place, person, files, branch, apart by tabs."""
    query = ChangeQuery(states_of(state), person, place_name, limit=limit)
    for each in node.changes.list(node.actor, query).changes:
        files = " ".join(map(shown_path, each.paths))
        click.echo("\t".join((each.id, each.state.value, each.place, each.person, files, each.branch)))


@change.command("show")
@click.argument("change_id", metavar="ID")
@click.pass_obj
def show(node: Node, change_id: str) -> None:
    """Write a change as a patch that git applies."""
    patch = node.changes.patch(node.actor, change_id)
    if not sys.stdout.isatty():
        click.echo(patch, nl=False)
        return
    for line in patch.splitlines():
        click.echo(shown(line))


@change.command("begin")
@click.argument("place_name", metavar="PLACE")
@click.argument("path")
@click.option("--action", type=click.Choice([each.value for each in DraftAction]), default="update")
@click.option("--new-path", default="", help="Of a file to rename.")
@click.option("--target", default="", help="Branch to change.  [the place's own]")
@click.pass_obj
def begin(node: Node, /, place_name: str, path: str, action: str, new_path: str, target: str) -> None:
    """Make a temporary branch for a change of the file PATH; prints the change's id."""
    wanted = Wanted(path, DraftAction(action), new_path, target)
    begun = node.changes.begin(node.actor, place_name, wanted)
    click.echo(f"{begun.change.branch} {'is made' if begun.is_new else 'was there already'}.", err=True)
    click.echo(begun.change.id)


@change.command("put")
@click.argument("change_id", metavar="ID")
@click.argument("path")
@click.option("--file", "source", type=click.File("rb"), default="-", help="[standard input]")
@click.pass_obj
def put(node: Node, change_id: str, path: str, source: BinaryIO) -> None:
    """Say what a file of a change is to be, byte for byte. Nothing is committed by it."""
    saved = node.changes.save_file(node.actor, change_id, path, source.read())
    click.echo(f"{shown_path(saved.final_path)} is saved.", err=True)


@change.command("commit")
@click.argument("change_id", metavar="ID")
@click.option("--message", "-m", required=True, help="What was changed, and why.")
@click.option("--despite-target", is_flag=True, help="Also where the target has other versions by now.")
@click.pass_obj
def commit(node: Node, change_id: str, message: str, despite_target: bool) -> None:
    """Commit what waits; prints the commit. Once more after a lost answer, it is not done twice."""
    wish = CommitWish(message, despite_target=despite_target)
    click.echo(node.changes.commit(node.actor, change_id, wish).tip)


@change.command("propose")
@click.argument("change_id", metavar="ID")
@click.option("--title", required=True)
@click.option("--description", default="")
@click.option("--reviewer", "reviewers", multiple=True, help="May be given again.")
@click.option("--keep-branch", is_flag=True, help="Do not remove the branch once it is merged.")
@click.pass_obj
def propose(
    node: Node, /, change_id: str, title: str, description: str, reviewers: tuple[str, ...], keep_branch: bool
) -> None:
    """Open a pull request; prints its address."""
    wish = ProposalWish(title, description, reviewers, close_source=not keep_branch)
    made = node.changes.propose(node.actor, change_id, wish)
    click.echo(made.proposal_url or made.proposal_id)


@change.command("merge")
@click.argument("change_id", metavar="ID")
@click.pass_obj
def merge(node: Node, change_id: str) -> None:
    """Merge the branch into its target, in a local repository."""
    _tell(node.changes.merge(node.actor, change_id))


@change.command("discard")
@click.argument("change_id", metavar="ID")
@click.pass_obj
def discard(node: Node, change_id: str) -> None:
    """Discard a change and its branch; the texts are kept."""
    _tell(node.changes.discard(node.actor, change_id))


def _tell(ended: ChangeRecord) -> None:
    click.echo(f"{ended.branch} is {ended.state.value}.", err=True)
