"""The messages between master and worker: readable across one minor version, sealed against change."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.protocol.orders import Health, Order, OrderStatus, digest_of, is_intact, sealed
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CallTask, CommandTask, Task


def order(task: Task | None = None, **members: object) -> Order:
    values: dict[str, object] = {
        "id": "01jd8xk3v0abcdefghjkmnpqrs",
        "run": "01jd8xk3v0abcdefghjkmnpqrt",
        "host": "web1",
        "task": task or CommandTask("df -h /"),
        "deadline": datetime(2026, 11, 22, 12, tzinfo=UTC),
        "nonce": "n" * 32,
        "actor": "oskar",
    }
    return Order(**(values | members))  # type: ignore[arg-type]  # members are named by the test


texts = st.text(max_size=20)
tasks = (
    st.builds(CommandTask, texts)
    | st.builds(CallTask, texts, texts, st.dictionaries(texts, texts, max_size=3), texts)
    | st.builds(BuiltinTask, st.sampled_from(list(Builtin)), st.dictionaries(texts, texts, max_size=3))
)


@given(tasks, texts, st.floats(0, 1e6))
def test_a_sealed_order_stays_intact_on_the_wire(task: Task, actor: str, timeout: float) -> None:
    sent = sealed(order(task, actor=actor, timeout_seconds=timeout))
    received = msgspec.json.decode(msgspec.json.encode(sent), type=Order)
    assert is_intact(received)
    assert received == sent


def test_a_whole_number_of_seconds_is_sealed_as_it_is_read() -> None:
    sent = sealed(order(timeout_seconds=60))
    assert is_intact(msgspec.json.decode(msgspec.json.encode(sent), type=Order))


@pytest.mark.parametrize(
    "change",
    [
        {"task": CommandTask("rm -rf /")},
        {"task": CallTask("GET", "df -h /")},
        {"host": "web2"},
        {"run": "other"},
        {"deadline": datetime(2030, 1, 1, tzinfo=UTC)},
        {"nonce": "m" * 32},
        {"actor": "ada"},
        {"timeout_seconds": 5.0},
        {"audience": "another-worker"},
        {"master_head": "00"},
    ],
)
def test_any_change_breaks_the_seal(change: dict[str, object]) -> None:
    changed = msgspec.structs.replace(sealed(order()), **change)
    assert not is_intact(changed)


def test_an_order_without_a_digest_is_not_intact() -> None:
    assert not is_intact(order())


def test_members_of_a_newer_version_are_ignored() -> None:
    newer = msgspec.to_builtins(sealed(order())) | {"shell": "/bin/zsh", "priority": 3}
    received = msgspec.json.decode(msgspec.json.encode(newer), type=Order)
    assert is_intact(received)


def test_a_default_of_a_newer_version_does_not_break_the_seal() -> None:
    class NewerOrder(Order, frozen=True, kw_only=True):
        priority: int = 0

    plain = NewerOrder(**{name: getattr(order(), name) for name in order().__struct_fields__})
    used = msgspec.structs.replace(plain, priority=1)
    assert digest_of(plain) == digest_of(order())
    assert digest_of(used) != digest_of(order())


def test_members_that_an_older_version_does_not_send_have_defaults() -> None:
    health = msgspec.json.decode(b'{"node":"w","version":"0","time":"2026-11-22T12:00:00Z"}', type=Health)
    status = msgspec.json.decode(b'{"id":"1","state":"running"}', type=OrderStatus)
    assert (health.running, health.load, status.exit_status) == (0, (0, 0, 0), None)


def test_a_task_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"kind":"install","name":"x"}', type=Task)
