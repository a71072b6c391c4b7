"""Judges what is left after the disorder; see ``chaos_evidence`` for where it is taken from.

Each check returns faults as sentences; none may be there. A part of a run may be lost, with a reason. It
may never have run twice, never be cut or doubled in silence, and never be shown as running.
"""

from collections import Counter
from collections.abc import Iterator

from tests.end_to_end.chaos import TERMINAL
from tests.end_to_end.chaos_evidence import STREAMS, Evidence


def faults_of(evidence: Evidence) -> list[str]:
    """Return everything that is wrong."""
    checks = (
        acknowledged_runs_are_listed,
        everything_has_ended_with_a_reason,
        nothing_ran_twice,
        what_ended_stayed_so,
        outputs_are_whole,
        what_was_read_is_kept,
        workers_tell_the_same,
        runs_have_their_outcome,
        what_is_proved_gone_is_gone,
    )
    faults = [fault for check in checks for fault in check(evidence)]
    return [*faults, *evidence.history_faults]


def acknowledged_runs_are_listed(evidence: Evidence) -> Iterator[str]:
    for wanted in evidence.book.wanted.values():
        if wanted.run_id and wanted.run_id not in evidence.runs:
            yield f"run {wanted.run_id} was acknowledged and is not in the list"
    for token, count in Counter(evidence.tokens.values()).items():
        if count > 1:
            yield f"{count} runs were made of one order, {token}"


def everything_has_ended_with_a_reason(evidence: Evidence) -> Iterator[str]:
    for run, _, host in evidence.parts():
        if run["state"] not in TERMINAL or host["state"] not in TERMINAL:
            yield f"run {run['id']} ({run['state']}) is still {host['state']} on {host['name']}"
        elif host["state"] == "lost" and not host["message"]:
            yield f"run {run['id']} is lost on {host['name']} without a reason"


def nothing_ran_twice(evidence: Evidence) -> Iterator[str]:
    times = Counter(evidence.begun)
    for (token, host), count in times.items():
        if count > 1:
            yield f"{token} ran {count} times on {host}"
        if host not in evidence.book.wanted[token].hosts:
            yield f"{token} ran on {host}, which it was not meant for"
    for run, wanted, part in evidence.parts():
        if part["state"] == "succeeded" and not times[wanted.token, part["name"]]:
            yield f"run {run['id']} succeeded on {part['name']} and never ran there"


def what_ended_stayed_so(evidence: Evidence) -> Iterator[str]:
    now = {(run["id"], host["name"]): host["state"] for run, _, host in evidence.parts()}
    for part, state in evidence.book.ended.items():
        if now.get(part) != state:
            yield f"{part} was shown as {state} and is {now.get(part)} now"


def outputs_are_whole(evidence: Evidence) -> Iterator[str]:
    """All that is kept is how the output begins, once and in order; of what succeeded it is all of it."""
    for run, wanted, host in evidence.parts():
        for stream in STREAMS:
            kept, expected = evidence.output(run["id"], host["name"], stream), wanted.expected(stream)
            where = f"{stream} of run {run['id']} on {host['name']} ({host['state']})"
            if not expected.startswith(kept):
                yield f"{where} differs: {_difference(expected, kept)}"
            elif host["state"] == "succeeded" and kept != expected:
                yield f"{where} has {len(kept)} of {len(expected)} bytes"
            if len(kept) != host[f"{stream}_bytes"]:
                yield f"{where} has {len(kept)} bytes and is said to have {host[f'{stream}_bytes']}"


def what_was_read_is_kept(evidence: Evidence) -> Iterator[str]:
    for (run_id, host, stream), read in evidence.book.read.items():
        if not evidence.output(run_id, host, stream).startswith(read):
            yield f"{stream} of run {run_id} on {host} was read up to byte {len(read)} and is another one now"


def workers_tell_the_same(evidence: Evidence) -> Iterator[str]:
    """What the master has of an order is how the worker's own copy begins, and the order has ended."""
    for order in evidence.orders.values():
        if order.state and order.state not in TERMINAL:
            yield f"order {order.id} is still {order.state} at {order.worker}"
        if order.state and not order.has_outcome:
            yield f"order {order.id} has no outcome in the history of {order.worker}"
        for stream, theirs in order.output.items():
            ours = evidence.output(order.run, order.worker, stream)
            if not theirs.startswith(ours):
                yield f"{stream} of order {order.id} differs at {order.worker}: {_difference(theirs, ours)}"


def runs_have_their_outcome(evidence: Evidence) -> Iterator[str]:
    for run_id, run in evidence.runs.items():
        said = evidence.outcomes.get(run_id, set())
        if said != {run["state"]}:
            yield f"run {run_id} is {run['state']}; its outcomes say {', '.join(said) or 'nothing'}"


def what_is_proved_gone_is_gone(evidence: Evidence) -> Iterator[str]:
    gone = {
        wanted.token
        for run, wanted, _ in evidence.parts()
        if all(host["gone"] is True for host in run["hosts"])
    }
    for token in gone:
        if any(token in line for line in evidence.processes):
            yield f"{token} was proved gone, and a process of it is there"


def _difference(expected: bytes, kept: bytes) -> str:
    at = next((n for n, (a, b) in enumerate(zip(expected, kept, strict=False)) if a != b), len(expected))
    around = slice(max(0, at - 40), at + 60)
    return f"byte {at} of {len(kept)}: …{kept[around]!r}, not …{expected[around]!r}"
