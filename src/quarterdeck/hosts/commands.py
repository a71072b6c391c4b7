"""Hosts and API bases on the command line: on a home, whose master may be running, or over an API."""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click

from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import Conflict, Invalid
from quarterdeck.hosts.book import HostBook
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.imports import ImportDefaults, ImportFormat, ImportPlan, plan_import
from quarterdeck.hosts.keys import fingerprint_of
from quarterdeck.hosts.models import HostKind, HostRecord, HostState, KeyState
from quarterdeck.hosts.service import Hosts

T = TypeVar("T")
Book = TypeVar("Book", bound=HostBook)


class Node(Protocol):
    """What these commands need: of the node whose home they work on, or of a master's API."""

    @property
    def hosts(self) -> HostBook: ...
    @property
    def actor(self) -> Actor: ...


@click.group()
def host() -> None:
    """SSH hosts and workers.

    Private keys, passwords and tokens come from a file or from standard input ("-"), never from an
    argument: arguments are seen by everybody on the machine.
    """


@click.group()
def base() -> None:
    """Remote APIs that tasks may call."""


@host.command("add")
@click.argument("name")
@click.option("--kind", type=click.Choice(["ssh", "worker"]), default="ssh", show_default=True)
@click.option("--address", required=True, help="Host name or IP address; of a worker also its URL.")
@click.option("--port", type=int, default=0, help="[22; of a worker 5001]")
@click.option("--user", "username", default="", help="Account to sign in with over SSH.")
@click.option("--tag", "tags", multiple=True, help="May be given again.")
@click.option("--jump", default="", help="SSH host of the list to connect over.")
@click.option("--key-file", type=click.File(), help="Private key.")
@click.option("--passphrase-file", type=click.File(), help="Passphrase of the private key.")
@click.option("--certificate-file", type=click.File(), help="OpenSSH certificate of the private key.")
@click.option("--password-file", type=click.File(), help="Password of the account.")
@click.option("--token-file", type=click.File(), help="Bearer that the worker accepts.")
@click.option("--agent", "use_agent", is_flag=True, help="Offer the keys of the master's SSH agent.")
@click.option("--host-key-file", type=click.File(), help="Pin this host key: a line of ssh-keyscan.")
@click.option("--pin-first", is_flag=True, help="Pin the key that the host shows first, without asking.")
@click.pass_obj
def add(node: Node, /, **values: Any) -> None:  # Any: what click read
    """Add a host and make first contact.

    A host that is down is added all the same. The key of an SSH host waits for
    `quarterdeck host confirm-key`, unless it is given or --pin-first says otherwise.
    """
    pin_first = values.pop("pin_first")
    draft = _draft(values)
    with running(node.hosts) as hosts:
        _show(_told(lambda: hosts.add_host(node.actor, draft, confirm_key=not pin_first)))


@host.command("list")
@click.option("--tag", "tags", multiple=True, help="Only hosts with all of these tags.")
@click.option("--kind", type=click.Choice([kind.value for kind in HostKind]))
@click.option("--state", type=click.Choice([state.value for state in HostState]))
@click.argument("words", nargs=-1)
@click.pass_obj
def list_(
    node: Node, tags: tuple[str, ...], kind: str | None, state: str | None, words: tuple[str, ...]
) -> None:
    """List the hosts, or those that match all the words."""
    hosts = node.hosts.list_hosts(
        tags, (kind,) if kind else (), " ".join(words), states=(state,) if state else ()
    )
    for each in hosts:
        click.echo(
            f"{each.name:<24} {each.state:<8} {each.kind:<7} {each.place:<36} {','.join(each.tags)}".rstrip()
        )


@host.command("show")
@click.argument("name")
@click.pass_obj
def show(node: Node, name: str) -> None:
    """Show what is known of a host."""
    _show(node.hosts.get(name))


@host.command("test")
@click.argument("name")
@click.pass_obj
def test(node: Node, name: str) -> None:
    """Connect to a host now; ends with 1 when that fails."""
    with running(node.hosts) as hosts:
        result = hosts.test_host(node.actor, name)
    click.echo(result.message)
    if result.host_key:
        click.echo(f"It shows {result.host_key.fingerprint} ({result.host_key.algorithm}).")
    sys.exit(0 if result.ok else 1)


@host.command("confirm-key")
@click.argument("name")
@click.argument("fingerprint")
@click.pass_obj
def confirm_key(node: Node, name: str, fingerprint: str) -> None:
    """Pin the host key with this fingerprint (SHA256:…), as ssh-keygen -lf prints it on the host."""
    with running(node.hosts) as hosts:
        if hosts.get(name).key_state is KeyState.NONE:
            hosts.scan_host(node.actor, name)
        _show(_told(lambda: hosts.confirm_host_key(node.actor, name, fingerprint)))


@host.command("tag")
@click.argument("name")
@click.argument("tags", nargs=-1)
@click.pass_obj
def tag(node: Node, name: str, tags: tuple[str, ...]) -> None:
    """Make the tags of a host exactly these; none takes all away."""
    _show(_told(lambda: node.hosts.set_tags(node.actor, name, tags)))


@host.command("remove")
@click.argument("name")
@click.pass_obj
def remove(node: Node, name: str) -> None:
    """Remove a host with its stored secrets."""
    _told(lambda: node.hosts.remove_host(node.actor, name))
    click.echo(f"{name} is removed.")


@host.command("invite")
@click.argument("name")
@click.option("--tag", "tags", multiple=True, help="May be given again.")
@click.option("--pin", default="", help="Fingerprint of this master's certificate, for the worker to pin.")
@click.pass_obj
def invite(node: Node, name: str, tags: tuple[str, ...], pin: str) -> None:
    """Invite a worker that dials in, as one behind NAT must; prints what to type on its machine.

    The code in it works once and for 15 minutes.
    """
    made = _told(lambda: node.hosts.invitations.invite(node.actor, name, tags, pin=pin))
    click.echo(
        f"On the machine of {made.record.name}, until {made.record.expires_at:%H:%M} UTC, once:\n", err=True
    )
    click.echo(made.command)


@host.command("invitations")
@click.pass_obj
def invitations(node: Node) -> None:
    """List the invitations that can still be taken up."""
    for each in node.hosts.invitations.open():
        click.echo(f"{each.id}  {each.name:<24} until {each.expires_at:%H:%M} UTC, by {each.invited_by}")


@host.command("uninvite")
@click.argument("invitation_id", metavar="ID")
@click.pass_obj
def uninvite(node: Node, invitation_id: str) -> None:
    """Take an invitation back."""
    node.hosts.invitations.revoke(node.actor, invitation_id)
    click.echo("The code is worth nothing any more.")


@host.command("revoke")
@click.argument("name")
@click.pass_obj
def revoke(node: Node, name: str) -> None:
    """Refuse a worker's token from now on, and give it no more orders.

    What it runs is cancelled by the master within its next health check. The worker joins again once
    it is given a token anew.
    """
    with running(node.hosts) as hosts:
        _show(_told(lambda: hosts.revoke_worker(node.actor, name)))


@host.command("import")
@click.argument("file", type=click.File())
@click.option("--format", "format_", type=click.Choice([each.value for each in ImportFormat]), default="yaml")
@click.option("--user", "username", default="", help="Account for hosts that name none.")
@click.option("--tag", "tags", multiple=True, help="For all; may be given again.")
@click.option("--key-file", type=click.File(), help="Private key for hosts without secrets of their own.")
@click.option(
    "--with-keys", is_flag=True, help="Store the keys that IdentityFile names, read from this machine."
)
@click.option("--preview", is_flag=True, help="Only show what would be added.")
@click.pass_obj
def import_(node: Node, file: Any, format_: str, username: str, tags: tuple[str, ...], key_file: Any,
            with_keys: bool, preview: bool) -> None:  # Any: open files  # fmt: skip
    """Import hosts from a YAML file or an OpenSSH config ("-" for standard input): all or none."""
    defaults = ImportDefaults(username, tags, {"private_key": key_file.read()} if key_file else {})
    plan = _told(
        lambda: plan_import(
            node.hosts,
            file.read(),
            ImportFormat(format_),
            defaults,
            read_key=_read_key if with_keys else None,
        )
    )
    _show_plan(plan)
    if plan.faults:
        raise click.ClickException("Nothing is imported while a row is wrong.")
    if not preview:
        added = _told(lambda: node.hosts.import_hosts(node.actor, plan.drafts))
        click.echo(f"{len(added)} host{' is' if len(added) == 1 else 's are'} imported.")


@base.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--bearer-file", type=click.File(), help="Bearer that the API wants; “-” for standard input.")
@click.pass_obj
def base_add(node: Node, name: str, url: str, bearer_file: Any) -> None:  # Any: an open file
    """Let runs call everything below a URL."""
    bearer = bearer_file.read().strip() if bearer_file else ""
    added = _told(lambda: node.hosts.bases.add_base(node.actor, name, url, bearer))
    click.echo(f"{added.name} is {added.url}{', with a bearer' if added.has_bearer else ''}.")


@base.command("list")
@click.pass_obj
def base_list(node: Node) -> None:
    """List the API bases."""
    for each in node.hosts.bases.list_bases():
        click.echo(f"{each.name:<24} {each.url}{'  (bearer)' if each.has_bearer else ''}")


@base.command("remove")
@click.argument("name")
@click.pass_obj
def base_remove(node: Node, name: str) -> None:
    """Remove an API base with its bearer."""
    node.hosts.bases.remove_base(node.actor, name)
    click.echo(f"{name} is removed.")


@contextmanager
def running(hosts: Book) -> Iterator[Book]:
    """Run an event loop in a thread for the verbs that connect, and end its connections afterwards.

    Over the API it is the master that connects, and there is nothing to run.
    """
    if not isinstance(hosts, Hosts):
        yield hosts
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loop", daemon=True)
    thread.start()
    hosts.loop.bind(loop)
    try:
        yield hosts
    finally:
        hosts.loop.run(_end(hosts))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(hosts: Hosts) -> None:
    """Close what is open and leave no task behind; nobody waits for news here."""
    await hosts.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _draft(values: dict[str, Any]) -> HostDraft:  # Any: what click read
    files = {
        "private_key": "key_file",
        "passphrase": "passphrase_file",
        "certificate": "certificate_file",
        "password": "password_file",
        "token": "token_file",
    }
    read = {secret: values.pop(option) for secret, option in files.items()}
    # A key file ends with a line break that belongs to it; of the others, the editor put it there.
    secrets = {
        name: file.read() if name == "private_key" else file.read().rstrip("\r\n")
        for name, file in read.items()
        if file
    }
    host_key = values.pop("host_key_file")
    return HostDraft(
        **values | {"kind": HostKind(values["kind"]), "tags": tuple(values["tags"])},
        host_key=host_key.read().strip() if host_key else "",
        secrets=secrets,
    )


def _told(verb: Callable[[], T]) -> T:
    """Call a verb and tell its faults by their fields."""
    try:
        return verb()
    except Invalid as error:
        lines = [f"{name}: {message}" for name, message in error.fields.items()]
        raise click.ClickException("\n".join(lines)) from error
    except Conflict as error:
        raise click.ClickException(error.message) from error


def _show(record: HostRecord) -> None:
    facts = {
        "name": record.name,
        "kind": record.kind,
        "address": record.place,
        "tags": ", ".join(record.tags),
        "jump": record.jump,
        "state": f"{record.state}{f': {record.state_reason}' if record.state_reason else ''}",
        "since": f"{record.state_since:%Y-%m-%d %H:%M:%S} UTC" if record.state_since else "",
        "marks": ", ".join(record.marks),
        "seen": f"{record.last_seen:%Y-%m-%d %H:%M:%S} UTC" if record.last_seen else "never",
        "version": record.version,
        "secrets": ", ".join(sorted(record.stored)),
        "host key": f"{record.key_state} {fingerprint_of(record.host_key or record.seen_key)}".strip(),
    }
    if record.key_state is KeyState.CHANGED:
        facts["shown key"] = fingerprint_of(record.seen_key)
    if record.kind is not HostKind.SSH:
        del facts["host key"]
    for name, value in facts.items():
        if value:
            click.echo(f"{name:<10} {value}")
    if record.key_state is KeyState.UNCONFIRMED:
        click.echo(
            f"Compare it, then: quarterdeck host confirm-key {record.name} {fingerprint_of(record.seen_key)}"
        )


def _show_plan(plan: ImportPlan) -> None:
    for row in plan.rows:
        remarks = [*(f"{name}: {message}" for name, message in row.errors.items()), *row.notes]
        click.echo(
            f"{row.name:<24} {row.draft.address if row.draft else '':<28} {'; '.join(remarks)}".rstrip()
        )
    for note in plan.notes:
        click.echo(note, err=True)


def _read_key(path: str) -> str:
    """Read a key with the rights of whoever uses the command line."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid({"private_key": f"{path} can't be read."}) from error
