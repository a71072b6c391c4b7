"""The figures of the landing page and the answers of the search, asked of each capability's service."""

from collections.abc import Iterable

from quarterdeck.access.permissions import bounds_of, may
from quarterdeck.access.service import Access
from quarterdeck.core.actors import Actor
from quarterdeck.core.ui.words import counted, noun
from quarterdeck.files.service import Files
from quarterdeck.history.service import History
from quarterdeck.home.service import Figure, Finding, Home
from quarterdeck.hosts.models import HostState
from quarterdeck.hosts.service import Hosts
from quarterdeck.notify.service import Toasts
from quarterdeck.tasks.service import RunQuery, Runs


def make_home(
    *, hosts: Hosts, runs: Runs, history: History, toasts: Toasts, access: Access, files: Files
) -> Home:
    """Return the landing page's providers."""
    return Home(
        figures={
            "hosts": lambda actor: _hosts_figure(hosts, actor),
            "runs": lambda actor: _runs_figure(runs, actor),
            "start": lambda actor: _start_figure(runs, actor),
            "history": lambda _actor: _history_figure(history),
            "files": lambda actor: _files_figure(files, actor),
            "toasts": lambda actor: _toasts_figure(toasts, actor),
            "people": lambda _actor: Figure("may sign in", str(_active_people(access))),
            "bases": lambda _actor: Figure("registered", str(len(hosts.bases.list_bases()))),
            "account": lambda actor: _account_figure(access, actor),
        },
        summary=lambda actor: _summary(hosts, runs, actor),
        searches=(
            lambda actor, text: _find_hosts(hosts, actor, text),
            lambda actor, text: _find_runs(runs, actor, text),
            lambda actor, text: _find_places(files, actor, text),
        ),
    )


def _hosts_figure(hosts: Hosts, actor: Actor) -> Figure:
    counts = hosts.counts(bounds_of(actor, "host.read"))
    well = counts.states.get(HostState.WELL, 0)
    lost = counts.states.get(HostState.LOST, 0)
    label = f"well, {lost} lost" if lost else "well"
    return Figure(label, f"{well} of {counts.asked}", "error" if lost else "success")


def _runs_figure(runs: Runs, actor: Actor) -> Figure:
    active = runs.counts(bounds_of(actor, "run.read")).active
    return Figure("running now", str(active), "active" if active else "")


def _start_figure(runs: Runs, actor: Actor) -> Figure:
    return Figure("runs today", str(runs.counts(bounds_of(actor, "run.read")).today))


def _history_figure(history: History) -> Figure:
    today = history.today()
    label = f"actions today, {today.denied:,} denied" if today.denied else "actions today"
    return Figure(label, f"{today.actions:,}")


def _files_figure(files: Files, actor: Actor) -> Figure:
    count = len(files.places.list_places(actor))
    return Figure(noun(count, "repository", "repositories"), str(count))


def _toasts_figure(toasts: Toasts, actor: Actor) -> Figure:
    unread = toasts.unread_count(actor)
    return Figure("unread", str(unread), "active" if unread else "")


def _active_people(access: Access) -> int:
    return sum(not person.is_disabled for person in access.list_people())


def _account_figure(access: Access, actor: Actor) -> Figure:
    sessions = len(access.sessions_of(actor.person_id)) if actor.person_id else 0
    return Figure(noun(sessions, "place signed in", "places signed in"), str(sessions))


def _summary(hosts: Hosts, runs: Runs, actor: Actor) -> Figure:
    """Return how things stand in one sentence; nothing that the actor may not read."""
    if not may(actor, "host.read"):
        return Figure("Welcome aboard", "An administrator gives you a role; then hosts and runs appear here.")
    counts = hosts.counts(bounds_of(actor, "host.read"))
    lost, well = counts.states.get(HostState.LOST, 0), counts.states.get(HostState.WELL, 0)
    if lost:
        if lost == 1:
            return Figure("1 host needs a look", "It no longer answers; the list says why.", "error")
        return Figure(f"{lost} hosts need a look", "They no longer answer; the list says why.", "error")
    answering = "All hosts answer" if well == counts.asked else f"{well} of {counts.asked} hosts answer"
    failed = runs.counts(bounds_of(actor, "run.read")).failed_today
    if failed:
        return Figure(answering, f"{counted(failed, 'run')} did not succeed today.", "warning")
    if well < counts.asked:
        return Figure(answering, "The others are late, or were not asked yet.", "warning")
    return Figure("All is well", "Every host that was asked has answered.", "success")


def _find_hosts(hosts: Hosts, actor: Actor, text: str) -> Iterable[Finding]:
    if may(actor, "host.read"):
        for host in hosts.list_hosts(q=text, limit=20, within=bounds_of(actor, "host.read")):
            yield Finding("Hosts", host.name, f"/hosts/{host.name}", host.address)


def _find_runs(runs: Runs, actor: Actor, text: str) -> Iterable[Finding]:
    if may(actor, "run.read"):
        for run in runs.list_runs(RunQuery(q=text, limit=20, within=bounds_of(actor, "run.read"))).runs:
            yield Finding("Runs", run.title, f"/runs/{run.id}", f"{run.state} on {run.targets}")


def _find_places(files: Files, actor: Actor, text: str) -> Iterable[Finding]:
    if may(actor, "file.read"):
        for record in files.places.list_places(actor):
            where = f"{record.project}/{record.repository}" if record.project else ""
            if text.lower() in f"{record.name} {where}".lower():
                yield Finding("Places of files", record.name, f"/files/{record.name}", where)
