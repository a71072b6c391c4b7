"""The text of Prometheus, read back by its own library."""

import math

import pytest
from prometheus_client.parser import text_string_to_metric_families

from quarterdeck.core.exposition import Exposition, joined, labels, number

HOSTILE = ['"', "\\", "\n", '\\"} 1\nevil{x="', "a\\nb", "größer – 漢字", "", "{}=,", "# HELP x", "\r\t\x00"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_the_value_of_its_label(value: str) -> None:
    text = Exposition()
    text.gauge("a_figure", "Something.").add(1.5, labels(host=value, device="eth0"))
    (family,) = text_string_to_metric_families(text.render().decode())
    (sample,) = family.samples
    assert (sample.name, sample.labels, sample.value) == ("a_figure", {"host": value, "device": "eth0"}, 1.5)


@pytest.mark.parametrize("value", [0.0, -1.5, 1e-9, 123456789012.0, 1e300, math.inf, -math.inf, 0.1 + 0.2])
def test_a_value_is_read_as_it_was(value: float) -> None:
    assert float(number(value)) == value


def test_what_is_no_number_is_told_as_such() -> None:
    assert number(math.nan) == "NaN"
    assert (number(math.inf), number(-math.inf), number(True)) == ("+Inf", "-Inf", "1")


def test_families_come_in_the_order_of_their_first_names_and_empty_ones_not_at_all() -> None:
    text = Exposition()
    text.gauge("first", "One.")
    text.counter("second_total", "Two.").add(2)
    text.gauge("first", "One.").add(1)
    text.gauge("empty", "None.")
    assert text.render() == (
        b"# HELP first One.\n# TYPE first gauge\nfirst 1\n"
        b"# HELP second_total Two.\n# TYPE second_total counter\nsecond_total 2\n"
    )


def test_texts_are_put_together_line_by_line() -> None:
    assert joined([b"a 1", b"", b"b 2\n"]) == b"a 1\nb 2\n"
