"""A master elsewhere, as the command line uses it: the parts of ``parts``, each over the JSON API."""

import ssl
from functools import cached_property
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from quarterdeck.access.book import AccessBook, GrantBook
from quarterdeck.access.remote import RemoteAccess, RemoteGrants
from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.api_client import ApiClient
from quarterdeck.core.api_errors import versions_differ
from quarterdeck.core.config import Settings
from quarterdeck.core.errors import Invalid, Unreachable
from quarterdeck.core.pinning import tls_context
from quarterdeck.core.token_files import checked_token, read_token_file
from quarterdeck.files.book import FileBook
from quarterdeck.files.changes.book import ChangeBook
from quarterdeck.files.changes.remote import RemoteChanges
from quarterdeck.files.remote import RemoteFiles
from quarterdeck.history.book import HistoryBook
from quarterdeck.history.remote import RemoteHistory
from quarterdeck.hosts.book import HostBook
from quarterdeck.hosts.remote import RemoteHosts
from quarterdeck.metrics.alerts.book import AlertBook, RuleBook
from quarterdeck.metrics.alerts.remote import RemoteAlerts, RemoteRules
from quarterdeck.notify.book import ToastBook
from quarterdeck.notify.remote import RemoteToasts

_ADVICE: Final = "Check the address, and whether the master runs and lets you in."
_OWN_ADVICE: Final = "Start one (`quarterdeck up`), or name it by --server."


class RemoteNode:
    """What commands get as ``ctx.obj`` instead of a home. Who acts is whose token it is."""

    is_remote: Final = True

    def __init__(self, settings: Settings, token: str = "") -> None:
        """Without a token, it is read from the file of the settings once it is needed."""
        self.settings = settings
        self._token = token
        self.actor = Actor(ActorKind.TOKEN, "remote")

    @cached_property
    def api(self) -> ApiClient:
        """The master that the settings name, or the home's own; raises Invalid."""
        settings = self.settings
        if settings.token_file == "-":  # noqa: S105 - no secret
            token = checked_token(self._token, "The line of standard input")
        else:
            token = read_token_file(Path(settings.token_file).expanduser())
        return ApiClient(settings.server or settings.bind.url, token, tls=_tls(settings), advice=_ADVICE)

    def close(self) -> list[str]:
        """Close the connection; returns what there is to say about the master's version."""
        if "api" not in self.__dict__:
            return []
        self.api.close()
        return [note] if (note := versions_differ(self.api.server, self.api.version)) else []

    @property
    def address(self) -> str:
        """Where people open the pages: for all that is known here, where the API is."""
        return self.api.server

    def person_id(self, name: str) -> str:
        """Return by what the API knows a person."""
        return name

    @cached_property
    def access(self) -> AccessBook:
        return RemoteAccess(self.api)

    @cached_property
    def grants(self) -> GrantBook:
        return RemoteGrants(self.api)

    @cached_property
    def hosts(self) -> HostBook:
        return RemoteHosts(self.api)

    @cached_property
    def changes(self) -> ChangeBook:
        return RemoteChanges(self.api)

    @cached_property
    def files(self) -> FileBook:
        return RemoteFiles(self.api)

    @cached_property
    def alert_log(self) -> AlertBook:
        return RemoteAlerts(self.api)

    @cached_property
    def rules(self) -> RuleBook:
        return RemoteRules(self.api)

    @cached_property
    def toasts(self) -> ToastBook:
        return RemoteToasts(self.api)

    @cached_property
    def history_book(self) -> HistoryBook:
        return RemoteHistory(self.api)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    pin, authorities = settings.server_pin, settings.ca_file
    if not (pin or authorities):
        return None
    if urlsplit(settings.server).scheme != "https":
        raise Invalid({"server": "A pin or authorities need an https address."})
    if pin and authorities:
        raise Invalid({"pin": "Give a pin or authorities, not both: with a pin, no authority counts."})
    return _vouched_for(authorities) if authorities else tls_context(pin)


def _vouched_for(authorities: str) -> ssl.SSLContext:
    """Return a context in which these authorities count and no others."""
    try:
        return ssl.create_default_context(cafile=str(Path(authorities).expanduser()))
    except OSError as error:  # also what is wrong with its content, as ssl tells it
        raise Invalid({"ca-file": f"{authorities} holds no certificates (PEM) that can be read."}) from error


def own_api(settings: Settings) -> ApiClient:
    """Return the API of the home's own running master, by the home's own key; raises Unreachable."""
    kept = settings.home / "keys" / "cli-token"
    if not kept.exists():
        raise Unreachable(
            f"No master has been started in {settings.home}. Start one with `quarterdeck up`, or name "
            "another with --server and --token-file."
        )
    token = checked_token(kept.read_text(encoding="ascii"), str(kept))
    return ApiClient(settings.bind.url, token, advice=_OWN_ADVICE)
