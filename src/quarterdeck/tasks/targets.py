"""Which hosts a task may be run on, and what is refused before anything is written or connected."""

from collections.abc import Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

from quarterdeck.access.permissions import Within, bounds_of, may
from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import Forbidden, Invalid
from quarterdeck.hosts.models import BaseRecord, HostKind, HostRecord
from quarterdeck.protocol.tasks import BuiltinTask, CallTask, CommandTask, Task
from quarterdeck.tasks.calls.api_call import check_call
from quarterdeck.tasks.local.builtins import checked_arguments
from quarterdeck.tasks.order_checks import fault_of_command

_READING: Final = ("GET", "HEAD", "OPTIONS")


class HostBook(Protocol):
    """What is asked of the list of hosts."""

    def resolve(self, names: Sequence[str], tags: Sequence[str], within: Within) -> list[HostRecord]: ...
    def list_hosts(self, *, kinds: Sequence[HostKind], within: Within) -> list[HostRecord]: ...
    def base_for(self, url: str) -> BaseRecord | None: ...


def choose_hosts(
    book: HostBook, actor: Actor, task: Task, names: Sequence[str], tags: Sequence[str]
) -> list[HostRecord]:
    """Return the hosts that the task is for; raises Invalid by field, or Forbidden.

    Hosts that the actor may not read are as absent; those that it may not run on are refused.
    """
    hosts = _chosen(book, actor, task, names, tags)
    if barred := [host.name for host in hosts if not may(actor, "run.start", host.target)]:
        raise Forbidden(f"You may not run anything on {_some(barred)}; leave it out, or ask for a grant.")
    return hosts


def _chosen(
    book: HostBook, actor: Actor, task: Task, names: Sequence[str], tags: Sequence[str]
) -> list[HostRecord]:
    within = bounds_of(actor, "host.read")
    match task:
        case CommandTask():
            _check_command(task)
            return book.resolve(names, tags, within)
        case BuiltinTask():
            checked_arguments(task.name, task.arguments)
            return _nodes_only(book.resolve(names, tags, within))
        case CallTask():
            _check_call(task, has_bearer=False)
            if task.url.startswith("/"):
                return _workers_only(actor, task, book.resolve(names, tags, within))
            return [_host_of_address(book, actor, task, names, tags)]


def _check_command(task: CommandTask) -> None:
    if fault := fault_of_command(task.command):
        raise Invalid({"command": fault})


def _nodes_only(hosts: list[HostRecord]) -> list[HostRecord]:
    if over_ssh := [host.name for host in hosts if host.kind is HostKind.SSH]:
        raise Invalid(
            {"hosts": f"Built-in tasks run on workers and the master; {_some(over_ssh)} is reached over SSH."}
        )
    return hosts


def _check_call(task: CallTask, *, has_bearer: bool) -> None:
    faults = {}
    if fault := _address_fault(task.url):
        faults["url"] = fault
    try:
        check_call(task, has_bearer=has_bearer)
    except Invalid as error:
        faults |= error.fields
    if faults:
        raise Invalid(faults)


def _address_fault(url: str) -> str:
    if not url.isprintable() or any(character in url for character in " \\\"'<>^`{|}"):
        return "Spaces, quotes and control characters are not allowed; write them percent-encoded."
    if url.startswith("/"):
        return "A path on the workers begins with one slash." if url.startswith("//") else ""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "This is not an address."
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return (
            "Give an http or https address, or a path such as /health that is called on each worker chosen."
        )
    if parts.username is not None or parts.password is not None:
        return "Leave name and password out; store a bearer with the API base instead."
    return "Leave out the part after #." if parts.fragment else ""


def _workers_only(actor: Actor, task: CallTask, hosts: list[HostRecord]) -> list[HostRecord]:
    if others := [host.name for host in hosts if host.kind is not HostKind.WORKER]:
        raise Invalid(
            {"hosts": f"A path is called on workers; {_some(others)} is none. Give a whole address."}
        )
    check_call(task, has_bearer=True)
    _check_worker_call(actor, task)
    return hosts


def _host_of_address(
    book: HostBook, actor: Actor, task: CallTask, names: Sequence[str], tags: Sequence[str]
) -> HostRecord:
    """Return the worker that the address belongs to, or the master, which calls registered bases."""
    within = bounds_of(actor, "host.read")
    chosen = book.resolve(names, tags, within) if names or tags else []
    host = _worker_at(book, task.url, within)
    # Bases are called by the master; for whom that is not open, they are as absent.
    masters = book.list_hosts(kinds=(HostKind.MASTER,), within=within)
    base = book.base_for(task.url) if masters else None
    check_call(task, has_bearer=host is not None or (base is not None and base.has_bearer))
    if host is not None:
        _check_worker_call(actor, task)
    elif base is None:
        raise Invalid(
            {
                "url": "This address belongs to no registered API base and to no worker. "
                "An administrator adds API bases."
            }
        )
    else:
        host = masters[0]
    if others := [
        other.name for other in chosen if other.id != host.id and other.kind is not HostKind.MASTER
    ]:
        raise Invalid(
            {"hosts": f"A call of a whole address is made by the master; leave out {_some(others)}."}
        )
    return host


def _worker_at(book: HostBook, url: str, within: Within) -> HostRecord | None:
    wanted = _origin(url)
    workers = book.list_hosts(kinds=(HostKind.WORKER,), within=within)
    return next((worker for worker in workers if _origin(worker.url) == wanted), None)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _check_worker_call(actor: Actor, task: CallTask) -> None:
    if task.method.upper() not in _READING and not may(actor, "host.write"):
        raise Forbidden("Operators may only read from a worker's API (GET); an administrator may change it.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
