"""A worker joins a master by a one-time code: it makes both tokens and hands the master its own."""

from http import HTTPStatus
from typing import Final

import msgspec

from quarterdeck import __version__
from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.config import Settings, SettingsError
from quarterdeck.core.errors import Forbidden, QuarterdeckError, Unreachable
from quarterdeck.core.security import new_token, token_digest
from quarterdeck.history.service import History
from quarterdeck.hosts.master_link import detail_of, exchange
from quarterdeck.hosts.membership import Member, Membership
from quarterdeck.protocol.line import CodeJoin, CodeJoined
from quarterdeck.tasks.worker.spool import MASTER

PATH: Final = "/api/v1/hosts/join"
_TRIES: Final = 3


def join_by_code(
    settings: Settings, membership: Membership, history: History, *, bearer: str, node: str
) -> None:
    """Join by the code of the settings; does nothing for one by which the worker has joined already.

    Blocks for some seconds. Raises Forbidden when the code is refused, Unreachable when there is no
    answer, and SettingsError when it is not said where the master is.
    """
    digest = token_digest(settings.join_code)
    if membership.has_joined_by(digest):
        return
    if not settings.master_url:
        raise SettingsError("Say where the master is that made the code: --master or QUARTERDECK_MASTER_URL.")
    token = settings.worker_bearer_token or new_token()
    master = Member(settings.master_url, token, settings.master_pin)
    detail = {"master_url": master.master_url, "pinned": bool(master.pin)}
    with history.action(SYSTEM, "node.join", "node:worker", detail=detail) as outcome:
        head, seq = history.witness()
        wanted = CodeJoin(
            code=settings.join_code,
            bearer=bearer,
            token=token,
            node=node,
            version=__version__,
            head=head,
            seq=seq,
        )
        joined = _joined(master, msgspec.json.encode(wanted))
        membership.join_by_code(master, joined, digest)
        outcome["name"] = joined.name
    history.note_witness(MASTER, joined.head, joined.seq)


def _joined(master: Member, body: bytes) -> CodeJoined:
    """Ask until there is an answer; the code counts once, but the same worker may ask again."""
    for tries_left in reversed(range(_TRIES)):
        try:
            return _ask(master, body)
        except Unreachable:
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def _ask(master: Member, body: bytes) -> CodeJoined:
    status, answer = exchange(master, PATH, body, shows_token=False)
    if status == HTTPStatus.FORBIDDEN:
        raise Forbidden(f"The master refuses the code{detail_of(answer)}")
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise QuarterdeckError(f"The master does not let this worker join{detail_of(answer)}")
    if status != HTTPStatus.OK:
        raise Unreachable(f"The master answered {status}{detail_of(answer)}")
    try:
        return msgspec.json.decode(answer, type=CodeJoined)
    except msgspec.DecodeError as error:
        raise Unreachable("What answers at the master's address is not a master.") from error
