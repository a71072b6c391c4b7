"""The line that a worker behind NAT keeps open to its master: a WebSocket with MessagePack messages.

Over it the master asks what it asks other workers by HTTP, with the same bearer, and the worker's own
application answers. Ids are the master's and only grow. A body goes in pieces; of an answer's, no more
than ``WINDOW_BYTES`` may be on the way that the master has not given ``Credit`` for. Members may be
added at the end of a message; another set of messages needs another ``SUBPROTOCOL``.
"""

from typing import Final

from msgspec import Struct

PATH: Final = "/worker-line"
SUBPROTOCOL: Final = "quarterdeck-line.1"
PIECE_BYTES: Final = 64 * 1024
WINDOW_BYTES: Final = 256 * 1024
"""A whole page of output fits, so that the next one can be asked for without a pause."""
MOST_MESSAGE_BYTES: Final = 160 * 1024
"""A piece, or the head of a request or answer."""
MOST_REQUESTS: Final = 128
"""How many requests may be under way on one line."""
BEAT_SECONDS: Final = 5.0
SILENT_BEATS: Final = 3
"""After so many beats without any message the line is dead: within 20 s, on both ends."""
SILENT: Final = 1001
"""Code of closing: nothing was heard any more."""
ENDED: Final = 1012
"""Code of closing: this end is stopped, and may be started again."""
REPLACED: Final = 4001
"""Code of closing: a newer line of the same worker has taken over."""
REVOKED: Final = 4003
"""Code of closing: the worker's token no longer counts."""
BROKEN_RULES: Final = 4008
"""Code of closing: the other end said what it may not say."""

Headers = list[tuple[str, str]]


class Request(Struct, frozen=True, array_like=True, tag="request"):
    """The master asks. ``target`` is path and query as in HTTP; ``has_more``: more of the body follows."""

    id: int
    method: str
    target: str
    headers: Headers
    body: bytes = b""
    has_more: bool = False


class RequestBody(Struct, frozen=True, array_like=True, tag="request-body"):
    """A further piece of a request's body."""

    id: int
    data: bytes
    has_more: bool


class Credit(Struct, frozen=True, array_like=True, tag="credit"):
    """The master has taken in so many bytes of an answer; as many more may come."""

    id: int
    size: int


class Drop(Struct, frozen=True, array_like=True, tag="drop"):
    """The master no longer wants the answer: as if it had hung up."""

    id: int


class Answer(Struct, frozen=True, array_like=True, tag="answer"):
    """The head of the answer to a request."""

    id: int
    status: int
    headers: Headers


class AnswerBody(Struct, frozen=True, array_like=True, tag="answer-body"):
    """A piece of an answer's body; without ``has_more`` it is the last, and may be empty."""

    id: int
    data: bytes
    has_more: bool


class Broken(Struct, frozen=True, array_like=True, tag="broken"):
    """An answer ends here without being whole."""

    id: int


class Beat(Struct, frozen=True, array_like=True, tag="beat"):
    """Nothing to say but that this end is alive."""


FromMaster = Request | RequestBody | Credit | Drop | Beat
FromWorker = Answer | AnswerBody | Broken | Beat


class CodeJoin(Struct, frozen=True, kw_only=True):
    """A worker joins by a one-time code. Both tokens are of its making, one for each side.

    ``bearer`` is what the master must show to the worker, ``token`` what the worker shows to the master.
    Said again with the same code and tokens, it is answered again: the first answer may have been lost.
    """

    code: str
    bearer: str
    token: str
    node: str = ""
    version: str = ""
    head: str = ""
    seq: int = 0


class CodeJoined(Struct, frozen=True, kw_only=True):
    """The worker is in the list: as ``name``, with the id ``audience``."""

    audience: str
    name: str
    master_name: str = "master"
    head: str = ""
    seq: int = 0
