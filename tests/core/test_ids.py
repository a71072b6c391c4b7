import re
import time

import pytest

from quarterdeck.core.ids import consecutive_ids, id_of, milliseconds_of, new_id, number_of


def test_ids_differ_are_safe_in_a_url_and_sort_by_time() -> None:
    before = time.time_ns() // 1_000_000
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"[0-9a-z]{26}", one) for one in ids)
    assert before <= milliseconds_of(ids[0]) <= milliseconds_of(ids[-1]) <= time.time_ns() // 1_000_000
    assert id_of(1, 2**80 - 1) < id_of(2, 0)


def test_an_id_gives_back_what_it_was_made_of() -> None:
    made = id_of(1_795_000_000_000, 2**79 + 5)
    assert (milliseconds_of(made), number_of(made)) == (1_795_000_000_000, 2**79 + 5)
    assert consecutive_ids(7, 1020, 8) == [id_of(7, number) for number in range(1020, 1028)]


@pytest.mark.parametrize("text", ["", "0" * 25, "0" * 27, "u" * 26, "../../etc/passwd0000000000", "é" * 26])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        milliseconds_of(text)
