"""How a worker dials: the pauses between its tries, and what it makes of the answers."""

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from quarterdeck.core.config import Settings, SettingsError, load_settings
from quarterdeck.core.errors import Unreachable
from quarterdeck.protocol import line as protocol
from quarterdeck.tasks.worker.dial_out import LONGEST_PAUSE, Refused, _ending, _pause, _refusal


def test_pauses_grow_are_random_and_never_long_enough_to_be_late() -> None:
    pauses = {tries: [_pause(tries, is_refused=False) for _ in range(200)] for tries in (0, 1, 3, 10, 1000)}
    assert all(1 <= pause <= LONGEST_PAUSE for each in pauses.values() for pause in each)
    assert max(pauses[0]) <= 2 < max(pauses[10])
    assert len(set(pauses[1000])) > 100
    assert LONGEST_PAUSE < 30


def test_refused_worker_asks_about_once_a_minute() -> None:
    assert all(30 <= _pause(tries, is_refused=True) <= 60 for tries in range(100))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Refused), (403, Refused), (409, Refused), (404, Refused), (302, Refused), (503, Unreachable),
     (429, Unreachable), (500, Unreachable)],
)  # fmt: skip
def test_answer_that_is_no_line_says_whether_to_come_back_soon(status: int, kind: type[Exception]) -> None:
    assert type(_refusal(status, b'{"detail": "for a reason"}')) is kind


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (protocol.REVOKED, Refused, "removed there"),
        (protocol.REPLACED, Refused, "Another line"),
        (protocol.ENDED, Unreachable, "this master ended"),
    ],
)
def test_closed_line_says_why(code: int, kind: type[Exception], said: str) -> None:
    error = _ending(ConnectionClosedError(Close(code, "this master ended"), None))
    assert type(error) is kind
    assert said in error.message


def test_line_that_breaks_off_is_opened_again() -> None:
    assert type(_ending(ConnectionClosedError(None, None))) is Unreachable


def test_settings_of_dialling_are_checked_at_the_start() -> None:
    settings = load_settings({"QUARTERDECK_MASTER_PIN": "SHA256:" + "AB" * 32, "QUARTERDECK_DIAL_OUT": "yes"})
    assert (settings.master_pin, settings.dial_out) == ("ab" * 32, True)
    assert "7K3M" not in repr(Settings(join_code="7K3M-0000-0000-0000-0000"))
    with pytest.raises(SettingsError, match="QUARTERDECK_MASTER_PIN is not valid"):
        load_settings({"QUARTERDECK_MASTER_PIN": "SHA256:short"})
