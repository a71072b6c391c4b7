"""What the page of a run on many hosts shows of them: a table, or from many on a map with a cell for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from quarterdeck.access.permissions import Within
from quarterdeck.tasks.forms import RunPageQuery
from quarterdeck.tasks.past import Usual
from quarterdeck.tasks.records import RunHostRecord, RunRecord
from quarterdeck.tasks.results.folding import Group
from quarterdeck.tasks.results.query import ResultForm, result_query
from quarterdeck.tasks.results.selection import Results, Selection, seconds_of
from quarterdeck.tasks.states import RunState

TABLE_PAGE: Final = 50
MAP_PAGE: Final = 1_000
MAP_FROM: Final = 100
"""More hosts than this are shown as a map, unless a table is asked for."""
_GLANCES: Final = 10
"""Of so many hosts the beginning of their output stands on the page."""
_GROUPS: Final = 12


@dataclass(frozen=True, slots=True)
class Matrix:
    """A page of the hosts that fit the filters."""

    selection: Selection
    hosts: tuple[RunHostRecord, ...]
    view: str
    page: int
    pages: int
    glances: tuple[RunHostRecord, ...]
    """The hosts whose output is shown: one of each group, or the first ones while the run goes on."""
    alike: Mapping[str, Group]
    """The group of each host in ``glances`` that stands for one, by its name."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups that are shown: those that differ, as far as there is room, and the usual."""
        usual = self.selection.folding.usual
        return self.selection.folding.differing[:_GROUPS] + ((usual,) if usual else ())

    @property
    def more_groups(self) -> int:
        return max(0, len(self.selection.folding.differing) - _GROUPS)


def matrix(results: Results, run: RunRecord, query: RunPageQuery, within: Within) -> Matrix:
    """Return what the page of a run shows of its hosts."""
    selection = results.select(run, result_query(query, within))
    count = len(selection.hosts)
    view = query.view or ("map" if count > MAP_FROM else "table")
    size = MAP_PAGE if view == "map" else TABLE_PAGE
    pages = max(1, -(-count // size))
    page = min(query.page, pages)
    hosts = selection.hosts
    if view == "table" and run.is_over and not query.sort:
        # Not before: sorting what still changes would make rows jump under the reader's eyes.
        hosts = tuple(sorted(hosts, key=lambda host: host.state is RunState.SUCCEEDED))
    alike = _one_of_each(selection) if run.is_over else {}
    glances = [host for host, _ in alike.values() if host.bytes] if alike else list(hosts)
    return Matrix(
        selection=selection,
        hosts=hosts[(page - 1) * size : page * size],
        view=view,
        page=page,
        pages=pages,
        glances=tuple(glances[:_GLANCES]),
        alike={host.name: group for host, group in alike.values()},
    )


def _one_of_each(selection: Selection) -> dict[str, tuple[RunHostRecord, Group]]:
    """Return for each group, by its key, the first of its hosts that is selected."""
    selected = {host.host_id for host in selection.hosts}
    found = {}
    for group in selection.folding.groups:
        host = next((host for host in group.hosts if host.host_id in selected), None)
        if host is not None:
            found[group.key] = (host, group)
    return found


def took_long(host: RunHostRecord, usual: Usual | None) -> bool:
    """Tell whether a part that has ended took longer than it usually does there."""
    seconds = seconds_of(host)
    return usual is not None and seconds is not None and seconds > usual.p95_seconds


class Links:
    """Makes the addresses of the page: the filters as they are, but for what is to change."""

    def __init__(self, run_id: str, query: RunPageQuery) -> None:
        self._path = f"/runs/{run_id}"
        self._values = query.model_dump(
            mode="json", exclude_defaults=True, exclude={"host", "stream", "last"}
        )

    def __call__(self, **changes: Any) -> str:  # Any: what a query holds
        """Return the page with these changes; another filter begins at its first page."""
        values = self._values | ({} if "page" in changes else {"page": ""}) | changes
        return f"{self._path}{_query(values)}"

    def file(self, name: str) -> str:
        """Return the address of an export with the filters of the page."""
        return f"{self._path}/{name}{_query(self.filters)}"

    @property
    def filters(self) -> dict[str, Any]:  # Any: what a query holds
        """The filters and the order, without what is only how they are shown."""
        return {name: value for name, value in self._values.items() if name in ResultForm.model_fields}


def _query(values: Mapping[str, Any]) -> str:  # Any: what a query holds
    given = {name: "true" if value is True else value for name, value in values.items() if value}
    return f"?{urlencode(given)}" if given else ""
