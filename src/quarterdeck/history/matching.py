"""Turns a query into what can be looked for cheaply, in three steps: index bits, raw bytes, parsed fields."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from quarterdeck.history.lines import WITNESS, Entry, encode_text, timestamp
from quarterdeck.history.query import ACTIONS, HistoryQuery
from quarterdeck.history.sidecar import bits_of


@dataclass(frozen=True, slots=True)
class Matcher:
    """One query, prepared. Each step lets through all that fit and perhaps more; the last is exact."""

    query: HistoryQuery
    bits: tuple[int, ...]
    patterns: tuple[bytes, ...]
    """Bytes that every fitting line has, the rarest first; lower case when ``folds``."""
    any_bits: tuple[tuple[int, ...], ...]
    """Where several actions are asked for: bits of which one set must be there; else empty."""
    any_patterns: tuple[bytes, ...]
    """The same for the raw bytes."""
    since: str
    until: str

    @property
    def folds(self) -> bool:
        """Tell whether the patterns are looked for in lower case (of ASCII), as free text is."""
        return bool(self.query.q)

    @property
    def uses_index(self) -> bool:
        return bool(self.bits or self.any_bits or self.since or self.until)

    @property
    def leads(self) -> tuple[bytes, ...]:
        """What is looked for first, any of it; ``may_fit`` looks for the rest. Empty: every line is taken."""
        return self.any_patterns or self.patterns[:1]

    def may_fit(self, line: bytes) -> bool:
        rest = self.patterns if self.any_patterns else self.patterns[1:]
        return all(pattern in line for pattern in rest)

    def covers(self, first_time: str, last_time: str) -> bool:
        """Tell whether some time from first to last is asked for."""
        return (not self.since or last_time >= self.since) and (not self.until or first_time < self.until)

    def fits(self, entry: Entry) -> bool:
        """Tell exactly whether the entry is asked for."""
        query = self.query
        return (
            self.covers(entry.time, entry.time)
            and _fits_exactly(query, entry)
            and (not query.actions or any(_begins(entry.action, each, ".") for each in query.actions))
            and _begins(entry.object, query.object, ":")
            and (not query.host or query.host in entry.hosts)
            and (not query.q or _has_text(entry, query.q))
        )


def prepare(query: HistoryQuery) -> Matcher:
    terms = {
        "request": query.request,
        "object": query.object,
        "object:host": query.host,
        "actor": query.actor,
        "action": _one_action(query),
        "kind": _one_kind(query),
    }
    bits = tuple(bit for name, value in terms.items() if value for bit in bits_of(f"{name}:{value}"))
    patterns = _patterns(query)
    if query.q:
        patterns = [_fold(encode_text(query.q)), *(_fold(pattern) for pattern in patterns)]
    since, until = (timestamp(moment) if moment else "" for moment in (query.since, query.until))
    several = () if _one_action(query) else _shortened(query.actions)
    any_bits = tuple(bits_of(f"action:{each}") for each in several)
    any_patterns = [_action_pattern(each) for each in several]
    return Matcher(
        query,
        bits,
        tuple(patterns),
        any_bits,
        tuple(map(_fold, any_patterns) if query.q else any_patterns),
        since,
        until,
    )


def _patterns(query: HistoryQuery) -> list[bytes]:
    """Return what stands in the raw line, those first that few lines have."""
    exact = {name: encode_text(getattr(query, name)) for name in ("request", "actor")}
    kind = _one_kind(query)
    action, host = _one_action(query), encode_text(query.host)
    found = {
        "request": b'"request":"%s",' % exact["request"],
        "object": b'"object":"%s' % encode_text(query.object),
        # In the detail a host stands alone in its quotes, as the object behind "host:".
        "host": b'%s"' % host,
        "actor": b'"actor":"%s",' % exact["actor"],
        "action": _action_pattern(action),
        "kind": b'"kind":"%s",' % kind.encode(),
    }
    derived = {"kind": kind, "action": action}
    return [pattern for name, pattern in found.items() if derived.get(name, getattr(query, name))]


def _action_pattern(action: str) -> bytes:
    return b'"action":"%s' % encode_text(action)


def _shortened(actions: tuple[str, ...]) -> tuple[str, ...]:
    """Return a few words for many actions; those that begin with the same word are looked for by it.

    Each word more makes the index say perhaps more often, and the search look at each byte once more.
    """
    words = Counter(each.partition(".")[0] for each in actions)
    short = {each if words[word := each.partition(".")[0]] == 1 else word for each in actions}
    return tuple(sorted(short))


def _one_action(query: HistoryQuery) -> str:
    """Return the action that every fitting line has, or nothing where several are asked for."""
    return query.actions[0] if len(query.actions) == 1 else ""


def _one_kind(query: HistoryQuery) -> str:
    """Return the kind that every fitting line has, or nothing."""
    return "" if query.kind == ACTIONS else query.kind


def _fits_exactly(query: HistoryQuery, entry: Entry) -> bool:
    return (
        (not query.actor or entry.actor == query.actor)
        and _fits_kind(query, entry)
        and (not query.request or entry.request == query.request)
    )


def _fits_kind(query: HistoryQuery, entry: Entry) -> bool:
    if query.kind == ACTIONS:
        return entry.action != WITNESS or WITNESS in query.actions
    return not query.kind or entry.kind == query.kind


def _begins(value: str, wanted: str, separator: str) -> bool:
    return not wanted or value == wanted or value.startswith(wanted + separator)


def _has_text(entry: Entry, wanted: str) -> bool:
    needle = _fold(wanted.encode())
    return any(needle in _fold(text.encode()) for text in texts_of(entry))


def texts_of(entry: Entry) -> Iterator[str]:
    """Yield every text that free search looks at."""
    yield from (entry.id, entry.actor, entry.address, entry.action, entry.object, entry.request, entry.pair)
    yield from _texts(entry.detail)


def _texts(value: Any) -> Iterator[str]:  # Any: what JSON holds
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        yield msgspec.json.encode(value).decode()


def _fold(text: bytes) -> bytes:
    return text.lower()  # of bytes: ASCII only, so that positions stay as they are
