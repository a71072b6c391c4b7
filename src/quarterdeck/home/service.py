"""What the landing page shows and the search finds, gathered from whoever the factory names."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import QuarterdeckError

logger = logging.getLogger(__name__)

FOUND_EACH: Final = 20


@dataclass(frozen=True, slots=True)
class Figure:
    """A live figure: ``Figure("well", "12 of 13", "success")``; the tone is one of the badges'."""

    label: str
    value: str
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A door of the landing page; ``verb`` says who sees it, ``name`` which figure it bears."""

    name: str
    title: str
    text: str
    url: str
    icon: str
    verb: str
    is_main: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of the search; ``kind`` is the heading that it stands under."""

    kind: str
    title: str
    url: str
    text: str = ""


CARDS: Final = (
    Card(
        name="hosts",
        title="Hosts",
        text="See which machines are well, add one, test its connection.",
        url="/hosts",
        icon="hdd-stack",
        verb="host.read",
        is_main=True,
    ),
    Card(
        name="start",
        title="Run a command",
        text="On one host, several or a tag; the output arrives live.",
        url="/runs/new",
        icon="terminal",
        verb="run.start",
        is_main=True,
    ),
    Card(
        name="runs",
        title="Runs",
        text="What runs now, and how everything before it ended.",
        url="/runs",
        icon="play-circle",
        verb="run.read",
        is_main=True,
    ),
    Card(
        name="history",
        title="History",
        text="Who did what, where and when, in a record that proves itself.",
        url="/history",
        icon="journal-text",
        verb="history.read",
        is_main=True,
    ),
    Card(
        name="files",
        title="Files",
        text="Look at a file of a repository, change it on a branch, propose the change.",
        url="/files",
        icon="file-earmark-text",
        verb="file.read",
        is_main=True,
    ),
    Card(
        name="toasts",
        title="Messages",
        text="What the server and your colleagues had to tell you.",
        url="/toasts",
        icon="bell",
        verb="toast.read",
    ),
    Card(
        name="account",
        title="Account",
        text="Your password, the places you are signed in, your API tokens.",
        url="/account",
        icon="person",
        verb="person.self",
    ),
    Card(
        name="people",
        title="People",
        text="Who may sign in, and in which role.",
        url="/people",
        icon="people",
        verb="person.read",
    ),
    Card(
        name="bases",
        title="API bases",
        text="The remote APIs that tasks may call, with their stored secrets.",
        url="/bases",
        icon="plug",
        verb="base.read",
    ),
)

FigureOf = Callable[[Actor], Figure]
Search = Callable[[Actor, str], Iterable[Finding]]
May = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Home:
    """The providers: a figure by the name of its card, ``summary`` for the headline, and the searches."""

    figures: Mapping[str, FigureOf] = field(default_factory=dict)
    searches: Sequence[Search] = ()
    summary: FigureOf | None = None

    def cards(self, actor: Actor, may: May) -> list[tuple[Card, Figure | None]]:
        """Return the cards that the actor may open, each with its figure where somebody gives one."""
        return [(card, self._figure(self.figures.get(card.name), actor)) for card in CARDS if may(card.verb)]

    def headline(self, actor: Actor, may: May) -> Figure | None:
        """Return the one sentence that says how things stand, to whoever may see the hosts."""
        return self._figure(self.summary, actor) if may("host.read") else None

    def find(self, actor: Actor, text: str, may: May) -> dict[str, list[Finding]]:
        """Return what matches, by kind; pages first. An empty text finds nothing."""
        words = text.strip()
        if not words:
            return {}
        found: dict[str, list[Finding]] = {}
        for finding in [*find_pages(words, may), *self._found(actor, words)]:
            found.setdefault(finding.kind, []).append(finding)
        return found

    def _found(self, actor: Actor, words: str) -> Iterable[Finding]:
        for search in self.searches:
            yield from islice(search(actor, words), FOUND_EACH)

    def _figure(self, figure_of: FigureOf | None, actor: Actor) -> Figure | None:
        """Ask for a figure; a part that can't answer costs its figure, not the page."""
        if figure_of is None:
            return None
        try:
            return figure_of(actor)
        except QuarterdeckError as error:
            logger.warning("a figure of the landing page is missing: %s", error.message)
            return Figure("not available now", "–", "warning")


def find_pages(words: str, may: May) -> list[Finding]:
    """Return the pages whose title or purpose holds every word."""
    wanted = words.casefold().split()
    pages = [(card.title, card.url, card.text) for card in CARDS if may(card.verb)]
    pages.append(("Keyboard", "/help/keyboard", "Every shortcut, and the switch that turns them off."))
    return [
        Finding("Pages", title, url, text)
        for title, url, text in pages
        if all(word in f"{title} {text}".casefold() for word in wanted)
    ]
