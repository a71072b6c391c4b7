"""What the page and the exports of a run's results show: which hosts, in which order, told apart by what."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from quarterdeck.access.permissions import Within
from quarterdeck.core.forms import Form
from quarterdeck.tasks.results.folding import NOTHING, Ignored
from quarterdeck.tasks.states import RunState

SORTS: Final = ("name", "state", "exit", "took", "output")
Sort = Literal["", "name", "state", "exit", "took", "output", "-name", "-state", "-exit", "-took", "-output"]


class ResultForm(Form):
    """The filters of a run's hosts as they stand in an address."""

    state: Literal[""] | RunState = ""
    q: Annotated[str, Field(max_length=100)] = ""
    group: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$|^$")] = ""
    changed: bool = False
    names: bool = False
    """The hosts' own names and addresses don't count when their output is compared."""
    numbers: bool = False
    """Numbers don't count when the output is compared: times, sizes, process ids."""
    sort: Sort = ""


@dataclass(frozen=True, slots=True)
class ResultQuery:
    """The same for the service; empty fields don't filter."""

    state: str = ""
    q: str = ""
    group: str = ""
    changed: bool = False
    sort: str = ""
    ignored: Ignored = NOTHING
    within: Within = None
    """What the one who asks gets at: earlier runs with a host elsewhere are nothing to compare with."""

    @property
    def is_filtered(self) -> bool:
        return bool(self.state or self.q or self.group or self.changed)


def result_query(form: ResultForm, within: Within) -> ResultQuery:
    """Return what the service takes."""
    return ResultQuery(
        state=str(form.state),
        q=form.q.strip(),
        group=form.group,
        changed=form.changed,
        sort=form.sort,
        ignored=Ignored(form.names, form.numbers),
        within=within,
    )
