"""Times and sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.errors import Invalid
from quarterdeck.tasks.amounts import bytes_text, read_bytes, read_seconds, seconds_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        (" 30 s ", 30),
        ("5min", 300),
        ("5 m", 300),
        ("2 h", 7200),
        ("1.5 h", 5400),
        ("7 D", 604_800),
    ],
)
def test_times_are_read(text: str, seconds: int) -> None:
    assert read_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("2048", 2048), ("500 kB", 500_000), ("64mb", 64_000_000), ("1 GiB", 1 << 30), ("1.5 MB", 1_500_000)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert read_bytes(text) == size


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 MB", "1e9", "٣", "5 min 3", "9" * 20, "1.2.3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_seconds(text)


@given(st.integers(0, 10**9))
def test_what_is_written_is_read_back(amount: int) -> None:
    assert read_seconds(seconds_text(amount)) == amount
    assert read_bytes(bytes_text(amount)) == amount
