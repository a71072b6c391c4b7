"""The query of the history as the JSON API documents it; ``query.py`` reads and judges the words."""

from typing import Literal

from pydantic import Field

from quarterdeck.core.forms import Form
from quarterdeck.history.query import DEFAULT_LIMIT, MOST_LIMIT


class HistoryFilters(Form):
    """All filters must fit; without any, everything is listed, newest first."""

    actor: str = Field("", description="Exactly this actor: ada, token:ada/backup, node:web-1.")
    action: str = Field(
        "", description="This action, or all that begin with it: host, host.add; several with commas."
    )
    object: str = Field("", description="This object, or all of a kind: host:web-1, host.")
    host: str = Field("", description="Everything that concerns this host.")
    kind: str = Field("", description="intent, outcome, event, denied, or actions: each action once.")
    request: str = Field("", description="Everything that one request caused.")
    since: str = Field("", description="A day or time of ISO 8601; UTC without a zone.")
    until: str = Field("", description="As since; a bare day includes that day, a time is excluded.")
    q: str = Field("", description="Text anywhere in an entry; the case of ASCII letters does not matter.")
    node: str = Field("", description="The node whose history is read; this one when empty.")
    limit: str = Field("", description=f"Entries a page, 1 to {MOST_LIMIT}; {DEFAULT_LIMIT} when empty.")
    cursor: str = Field("", description="next_cursor of the page before.")
    format: Literal["json", "csv"] = Field("json", description="csv gives all that fits, or the first limit.")


class ExportFilters(HistoryFilters):
    """As for the list; ``limit`` bounds the whole file, which has no pages."""

    format: Literal["json", "csv"] = Field("csv", description="One JSON array, or CSV.")


class EntryQuery(Form):
    """Where an entry is looked for."""

    node: str = Field("", description="The node whose history is read; this one when empty.")


class VerifyBody(Form, title="VerificationScope"):
    """What is proved: this node's history alone, or also the workers', each against the others."""

    with_workers: bool = False
