"""The run before: for each host of a run, the last time that the same task ended there."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import and_, select
from sqlalchemy.orm import aliased

from quarterdeck.access.permissions import Within
from quarterdeck.core.db import Database
from quarterdeck.tasks.models import RunHost
from quarterdeck.tasks.records import SHOWN, RunHostRecord, RunRecord, host_record, runs_inside


@dataclass(frozen=True, slots=True)
class Before:
    """A host's part of an earlier run of the same task, which has ended."""

    run_id: str
    host: RunHostRecord


def parts_before(db: Database, run: RunRecord, within: Within) -> Mapping[str, Before]:
    """Return what came before by host id: the newest part that had ended when the run was started.

    One seek in an index for each host: how often the task was run before does not matter. Runs with a host
    that is not ``within`` what the one who asks gets at are passed over.
    """
    earlier, any_earlier = aliased(RunHost), aliased(RunHost)
    newest = (
        select(any_earlier.run_id)
        .where(
            any_earlier.fingerprint == run.fingerprint,
            any_earlier.host_id == RunHost.host_id,
            any_earlier.run_id < run.id,
            any_earlier.finished_at <= run.created_at,
            *runs_inside(any_earlier.run_id, within),
        )
        .order_by(any_earlier.run_id.desc())
        .limit(1)
        .correlate(RunHost)
        .scalar_subquery()
    )
    query = (
        select(earlier.run_id, *(getattr(earlier, column.key) for column in SHOWN))
        .select_from(RunHost)
        .join(earlier, and_(earlier.host_id == RunHost.host_id, earlier.run_id == newest))
        .where(RunHost.run_id == run.id)
    )
    with db.read() as session:
        found = [Before(row.run_id, host_record(row)) for row in session.execute(query)]
    return {before.host.host_id: before for before in found}
