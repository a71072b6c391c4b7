"""What a worker tells its master of its own history. The answers are those types of ``peers.Peers``."""

import msgspec
from flask import Blueprint, Response, request

from quarterdeck.core import web
from quarterdeck.core.errors import Invalid
from quarterdeck.history.query import read_query
from quarterdeck.history.service import History
from quarterdeck.history.witness import MOST_SEEN

blueprint = Blueprint("history_worker", __name__)

MASTER = "master"
_MOST_SEQS = 500


@blueprint.get("/history")
@web.allow("master.read")
def history_page() -> Response:
    return _answer(web.part(History).page(read_query(request.args)))


@blueprint.get("/history/<id_>")
@web.allow("master.read")
def history_entry(id_: str) -> Response:
    return _answer(web.part(History).get(id_))


@blueprint.get("/history/verify")
@web.allow("master.read")
def history_verify() -> Response:
    return _answer(web.part(History).verify())


@blueprint.get("/history/heads")
@web.allow("master.read")
def history_heads() -> Response:
    """Answer the hash of each line whose number is in ``?seqs=1,2,3``."""
    return _answer(web.part(History).heads(_read_seqs(request.args.get("seqs", ""))))


@blueprint.get("/history/witnessed")
@web.allow("master.read")
def history_witnessed() -> Response:
    """Answer what this worker wrote down of its master's chain, newest first."""
    return _answer(web.part(History).witnessed(MASTER)[:MOST_SEEN])


def _read_seqs(text: str) -> list[int]:
    words = text.split(",") if text else []
    if len(words) > _MOST_SEQS or not all(
        word.isascii() and word.isdecimal() and len(word) < 16 for word in words
    ):
        raise Invalid({"seqs": f"Up to {_MOST_SEQS} whole numbers, apart by commas."})
    return [int(word) for word in words]


def _answer(content: object) -> Response:
    return Response(msgspec.json.encode(content), mimetype="application/json")
