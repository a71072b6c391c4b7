"""Runs on many hosts put straight into the tables and the output folder, as if they had been run."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import insert

from quarterdeck.core.db import Database
from quarterdeck.core.ids import new_id
from quarterdeck.protocol.tasks import CommandTask
from quarterdeck.tasks.drafts import as_stored
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.fingerprint import fingerprint
from quarterdeck.tasks.models import Run, RunHost
from quarterdeck.tasks.output.store import OutputStore
from quarterdeck.tasks.results.digests import hashes_of
from quarterdeck.tasks.states import RunState, overall

LONG_AGO: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Part:
    """What a run did on one host."""

    name: str
    out: bytes = b""
    err: bytes = b""
    state: RunState = RunState.SUCCEEDED
    exit_status: int | None = 0
    seconds: float = 1.5
    message: str = ""
    gone: bool | None = None
    host_id: str = ""
    details: dict[str, Any] = field(default_factory=dict)  # Any: facts of one kind of task


def insert_run(
    db: Database,
    output: OutputStore,
    parts: Sequence[Part],
    *,
    command: str = "df -h /",
    created_at: datetime = LONG_AGO,
    run_id: str = "",
    intent_id: str = "i",
    is_hashed: bool = True,
) -> str:
    """Store a run with its hosts and their output; returns its id."""
    run_id = run_id or new_id()
    tally = Counter(part.state for part in parts)
    state = overall(tally)
    task = CommandTask(command)
    row = Run(
        id=run_id,
        kind="command",
        title=command,
        task=as_stored(task),
        fingerprint=fingerprint(task),
        state=str(state),
        is_active=not state.is_terminal,
        is_recorded=state.is_terminal,
        tally={str(each): count for each, count in tally.items()},
        targets=", ".join(part.name for part in parts[:3]),
        host_count=len(parts),
        actor="oskar",
        created_at=created_at,
        started_at=created_at,
        finished_at=created_at + timedelta(seconds=5) if state.is_terminal else None,
        timeout_seconds=600,
        options={},
        request_id="r",
        intent_id=intent_id,
    )
    for part in parts:
        _write(output, run_id, part)
    rows = [_row(output, row, number, part, is_hashed) for number, part in enumerate(parts)]
    with db.write() as session:
        session.add(row)
        session.flush()
        session.execute(insert(RunHost), rows)
    return run_id


def _write(output: OutputStore, run_id: str, part: Part) -> None:
    if part.out or part.err:
        with output.writer(run_id, part.name) as writer:
            writer.append(Stream.OUT, part.out)
            writer.append(Stream.ERR, part.err)


def _row(output: OutputStore, run: Run, number: int, part: Part, is_hashed: bool) -> dict[str, Any]:
    is_over = part.state.is_terminal
    hashes = hashes_of(output, run.id, part.name) if is_over and is_hashed else ("", "")
    has_begun = part.state not in (RunState.QUEUED, RunState.CONNECTING)
    return {
        "run_id": run.id,
        "host_id": part.host_id or f"host-{part.name}",
        "name": part.name,
        "kind": "ssh",
        "position": number,
        "fingerprint": run.fingerprint,
        "state": str(part.state),
        "message": part.message,
        "exit_status": part.exit_status if is_over else None,
        "started_at": run.created_at if has_begun else None,
        "finished_at": run.created_at + timedelta(seconds=part.seconds) if is_over else None,
        "out_bytes": len(part.out),
        "err_bytes": len(part.err),
        "gone": part.gone,
        "details": part.details,
        "out_hash": hashes[0],
        "err_hash": hashes[1],
        "order": None,
        "remote": None,
    }


def same(count: int, out: bytes = b"fine\n", **more: Any) -> list[Part]:  # Any: fields of Part
    """Return so many parts that ended alike: ``web-0001`` and on."""
    return [Part(f"web-{number:04}", out, **more) for number in range(1, count + 1)]


def names_of(parts: Iterable[Part]) -> list[str]:
    return [part.name for part in parts]
