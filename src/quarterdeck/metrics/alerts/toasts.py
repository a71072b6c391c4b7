"""What operators are told of alerts: one by one, or many at once in one message. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from quarterdeck.core.ui.words import counted
from quarterdeck.metrics.alerts.models import AlertRecord, EndReason
from quarterdeck.metrics.alerts.rules import LOST, AlertLevel, value_text

SINGLE: Final = 3
"""More than so many at once are told in one message."""
_PAGE: Final = "/fleet/alerts"

Message = tuple[str, str, str]
"""A text, its level and a link."""


def messages(news: Sequence[AlertRecord]) -> list[Message]:
    """Return what to tell; lost hosts are left out, for the watch over the hosts tells of them."""
    told = [each for each in news if each.figure != LOST]
    begun = [each for each in told if each.is_active]
    over = [each for each in told if each.ended_why == EndReason.BACK]
    return [*_of_begun(begun), *_of_over(over)]


def _of_begun(begun: Sequence[AlertRecord]) -> Iterable[Message]:
    if len(begun) > SINGLE:
        hosts = counted(len({each.host_id for each in begun}), "host")
        yield f"{counted(len(begun), 'alert')} on {hosts}: {_rules(begun)}.", _worst(begun), _PAGE
        return
    for each in begun:
        text = f"{each.host}: {each.rule} ({value_text(each.figure, each.value)})."
        yield text, _worst([each]), f"{_PAGE}?host={each.host}"


def _of_over(over: Sequence[AlertRecord]) -> Iterable[Message]:
    if len(over) > SINGLE:
        hosts = counted(len({each.host_id for each in over}), "host")
        yield f"{counted(len(over), 'alert')} on {hosts} over.", "success", _PAGE
        return
    for each in over:
        yield f"{each.host}: {each.rule} is over.", "success", f"{_PAGE}?host={each.host}"


def _worst(alerts: Sequence[AlertRecord]) -> str:
    return "error" if any(each.level is AlertLevel.ALERT for each in alerts) else "warning"


def _rules(alerts: Sequence[AlertRecord]) -> str:
    names = sorted({each.rule for each in alerts})
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
