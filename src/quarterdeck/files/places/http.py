"""Calls to the API of a Bitbucket: one client for both flavours, synchronous towards the adapters.

Within a node the calls wait on its event loop; on the command line, where none runs, each has a loop of its
own. A call is tried again only when that can't do anything twice. Redirects and links are followed on the
place's own origin only, so that the token stays there.
"""

import asyncio
import base64
import logging
import random
import ssl
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy, TooLarge
from quarterdeck.core.loop import Loop
from quarterdeck.files.places.addresses import host_of, join, own_link, read_base, tls_context
from quarterdeck.files.places.allowance import Allowance
from quarterdeck.files.places.answers import Answer, clean
from quarterdeck.files.places.place import Budget, Missing, PlaceError, Refused, Throttled, Unanswered

MOST_BYTES: Final = 16 * 1024 * 1024
MOST_CALLS: Final = 8
_MOST_REDIRECTS: Final = 3
_BUSY_STATUSES: Final = frozenset({502, 503, 504})
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # nothing that grows when it is unpacked
    "User-Agent": "Quarterdeck",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a place's API is and how to get in: Basic when there is a user name, else Bearer, else nobody."""

    base_url: str
    username: str = ""
    token: str = field(default="", repr=False)
    authorities: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long is waited for what, in seconds."""

    connect: float = 5.0
    read: float = 20.0
    whole: float = 30.0
    """For one request and its whole answer."""
    retry: float = 15.0
    """After this much a failed GET is not tried again."""
    queue: float = 10.0
    """For one of the calls under way to end."""
    honoured: int = 5
    """The longest Retry-After that is waited out."""
    pauses: tuple[float, ...] = (0.3, 1.0)
    """Before each further try, up to twice as long by chance."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body: a field when it has no file name, else a file's bytes."""

    name: str
    content: bytes
    filename: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    disposition: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the part's Content-Disposition besides name and filename."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. Segments are plain text and percent-encoded one by one; a last empty one ends in "/"."""

    method: str = "GET"
    segments: tuple[str, ...] = ()
    query: Sequence[tuple[str, str]] = ()
    link: str = ""
    """Instead of segments and query: an address that the place gave (a ``next``), checked before use."""
    json: Any = None  # Any: whatever can be written as JSON
    parts: Sequence[Part] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accepts: frozenset[int] = frozenset({200})
    """Statuses that are returned; any other is raised as a PlaceError."""
    most_bytes: int = MOST_BYTES
    is_listing: bool = False
    """Costly and not urgent: refused here already when the hour's calls are used up."""
    follows: bool = False
    """Redirects on the place's own origin are followed (GET only)."""
    needs: str = ""
    """The scope or permission that a 403 is for."""
    what: str = "The repository"
    """What a 404 is for: the beginning of a sentence."""


class Client:
    """Calls one place. Make it once and keep it: connections stay open; ``close`` lets them go."""

    def __init__(
        self,
        endpoint: Endpoint,
        loop: Loop,
        clock: Clock,
        *,
        allowance: Allowance | None = None,
        timing: Timing = Timing(),  # noqa: B008: a frozen value
    ) -> None:
        """Raises ValueError for an address or authorities that can't be used."""
        self.base = read_base(endpoint.base_url)
        self.allowance = allowance or Allowance(clock)
        self._endpoint = endpoint
        self._loop = loop
        self._clock = clock
        self._timing = timing
        self._slots = threading.BoundedSemaphore(MOST_CALLS)
        self._tls: ssl.SSLContext | None = None
        self._client: httpx.AsyncClient | None = None  # lives on the node's loop and is touched only there

    def __repr__(self) -> str:
        return f"Client({self.base!r})"

    def call(self, call: Call) -> Answer:
        """Make a call and return its answer; blocks, so never on the loop.

        Raises Refused, Missing, Throttled, Unanswered, a plain PlaceError for any other status that is not
        in ``accepts``, core.errors.TooLarge when the body is over ``most_bytes``, and Busy when too many
        calls wait. An Unanswered write may have happened: it carries ``is_unsure=True``.
        """
        raise NotImplementedError

    def budget(self) -> Budget:
        """Return the calls of the last hour by our own count."""
        return self.allowance.budget()

    def close(self) -> None:
        """Let the connections go; a later call opens new ones."""
