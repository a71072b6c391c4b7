"""Sign-in through providers: begun, taken back, checked, turned into a session; or refused, in one place."""

import base64
import logging
import threading
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Final, NoReturn, Protocol, TypeVar

from quarterdeck.access.agents import Client, plain
from quarterdeck.access.models import AGENT_LENGTH
from quarterdeck.access.providers.accounts import Accounts, Connection
from quarterdeck.access.providers.claims import Claims
from quarterdeck.access.providers.faults import UNTRUSTED, Fault, SignInRefused
from quarterdeck.access.providers.flow import Flow, Flows
from quarterdeck.access.providers.github import GitHubProvider
from quarterdeck.access.providers.oidc import OpenIdProvider
from quarterdeck.access.providers.outgoing import CALL_SECONDS, Outgoing, error_word
from quarterdeck.access.providers.shapes import (
    Callback,
    Contact,
    Finish,
    ProviderState,
    ProviderView,
    Start,
    callback_path,
    view_of,
)
from quarterdeck.access.service import Access
from quarterdeck.core.actors import Actor, ActorKind
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Busy, Conflict, Limited, NotFound, QuarterdeckError
from quarterdeck.core.identity_settings import ProviderSettings
from quarterdeck.core.identity_values import ProviderKind
from quarterdeck.core.limits import TryLimit
from quarterdeck.core.loop import Loop
from quarterdeck.core.vault import Vault
from quarterdeck.history.service import History

logger = logging.getLogger(__name__)

T = TypeVar("T")

AT_ONCE: Final = 4
"""Threads that wait for providers; the others go on serving pages."""
PER_ADDRESS: Final = 60
"""Begun in a minute from one address, behind which a whole company may sit."""
STARTS_IN_ALL: Final = 600
CALLBACKS_IN_ALL: Final = 300
TALK_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 1.0
"""How long a callback, which counts once, waits for its turn; a start can be pressed again."""
_SIGN_OUT_SECONDS: Final = 4.0
_LONGEST_PARAMETER: Final = 2_048
DECLINED: Final = "{label} did not let you sign in, or you chose not to. Begin again if that was not meant."


class Provider(Protocol):
    """What stands behind a button."""

    @property
    def settings(self) -> ProviderSettings: ...
    @property
    def discovery(self) -> Contact | None: ...
    async def discover(self) -> object: ...
    async def start_url(self, flow: Flow) -> str: ...
    async def check_issuer(self, issuer: str | None) -> None: ...
    async def claims(self, code: str, flow: Flow) -> Claims: ...
    async def end_url(self, hint: str, return_to: str) -> str: ...


class Providers:
    """All configured providers; safe to use from many threads."""

    def __init__(
        self,
        *,
        db: Database,
        history: History,
        clock: Clock,
        settings: Settings,
        vault: Vault,
        loop: Loop,
        access: Access,
        rights_changed: Callable[[], None],
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._history = history
        self._clock = clock
        self._access = access
        self._loop = loop
        self._vault = vault
        self.has_local_sign_in = settings.local_sign_in
        self._flows = Flows(vault, clock)
        self._starts = TryLimit(clock, per_address=PER_ADDRESS, in_all=STARTS_IN_ALL)
        self._callbacks = TryLimit(clock, per_address=PER_ADDRESS, in_all=CALLBACKS_IN_ALL)
        self._talks = threading.BoundedSemaphore(AT_ONCE)
        self._accounts = Accounts(
            db,
            history,
            clock,
            end_credentials=access.end_credentials,
            forget=access.forget,
            rights_changed=rights_changed,
        )
        self._refusals: dict[str, Contact] = {}
        """The last one of each provider."""
        outgoing = Outgoing(call_seconds)
        self._providers: dict[str, Provider] = {
            each.name: _provider(each, outgoing, clock) for each in settings.identity
        }

    def buttons(self) -> list[tuple[str, str, str]]:
        """Return name, label and kind of each provider."""
        return [
            (name, each.settings.label, each.settings.kind.value) for name, each in self._providers.items()
        ]

    def guessers_known(self) -> int:
        """Return how many addresses are remembered because of sign-ins that they began."""
        return len(self._starts) + len(self._callbacks)

    def label_of(self, name: str) -> str:
        """Return what people call a provider; its bare name when it is not configured any more."""
        return self._providers[name].settings.label if name in self._providers else name

    def listing(self) -> list[ProviderView]:
        """Return the providers with their settings and how they do, for a page of administrators."""
        uses = self._accounts.uses()
        return [
            self._view(each, *uses.get(each.settings.issuer, (0, None))) for each in self._providers.values()
        ]

    def check(self, actor: Actor, name: str) -> None:
        """Read a provider's discovery document now, on record; ``listing`` has what came out.

        Raises NotFound, and Limited when too many wait for providers.
        """
        provider = self._provider(name)
        with self._history.action(actor, "provider.check", f"provider:{name}") as outcome:
            try:
                self._talk(provider.discover())
            except Fault as fault:
                outcome["answer"] = fault.reason
            except QuarterdeckError:
                raise  # this node's own: too many at once
            except Exception as error:  # as in _guarded
                logger.exception("an unexpected answer of the identity provider %s", name)
                outcome["answer"] = f"unexpected: {type(error).__name__}"
            else:
                outcome["answer"] = "as it should be"

    def start(
        self, name: str, client: Client, *, base_url: str, next_path: str, actor: Actor | None = None
    ) -> Start:
        """Begin a sign-in, or for an actor who is signed in the connecting of the account.

        Raises NotFound for an unknown provider, Conflict for a token, Limited, and SignInRefused when the
        provider can't be reached.
        """
        provider = self._provider(name)
        if actor is not None and not _session_of(actor):
            raise Conflict("A provider is connected in a browser, by somebody who is signed in there.")
        self._count(self._starts, client)
        flow = self._flows.begin(
            name,
            redirect_uri=f"{base_url}{callback_path(name)}",
            next_path=next_path,
            session_id=_session_of(actor) if actor else "",
        )
        url = self._guarded(provider, client, lambda: self._talk(provider.start_url(flow)))
        return Start(url, self._flows.seal(flow))

    def finish(self, name: str, cookie: str, callback: Callback, client: Client, actor: Actor) -> Finish:
        """Take a browser back and open a session, or connect the actor's account.

        Raises NotFound, Limited and, for all that providers and browsers do wrong, SignInRefused.
        """
        provider = self._provider(name)
        self._count(self._callbacks, client)
        return self._guarded(
            provider, client, lambda: self._finish(provider, cookie, callback, client, actor)
        )

    def connections(self, person_id: str) -> list[Connection]:
        """Return the identities of somebody's account."""
        return self._accounts.connections(person_id)

    def disconnect(self, actor: Actor, identity_id: str) -> None:
        """Take an identity from the actor's account; raises NotFound or Conflict."""
        issuers = {each.settings.issuer for each in self._providers.values()}
        self._accounts.disconnect(
            actor, identity_id, issuers=issuers, has_local_sign_in=self.has_local_sign_in
        )

    def sign_out(self, actor: Actor, *, return_to: str) -> tuple[str, str]:
        """End the actor's session; returns the label and address to sign out at too, or two empty texts.

        The session here ends whatever the provider does.
        """
        name, sealed = self._access.provider_of_session(actor)
        self._access.sign_out(actor)
        provider = self._providers.get(name)
        if provider is None:
            return "", ""
        try:
            hint = self._opened_hint(sealed, actor.person_id)
            url = self._talk(provider.end_url(hint, return_to), _SIGN_OUT_SECONDS)
        except Exception:
            logger.exception("the identity provider %s can't be asked to sign somebody out", name)
            return "", ""
        return (provider.settings.label, url) if url else ("", "")

    def _view(self, provider: Provider, people: int, last_used_at: datetime | None) -> ProviderView:
        refusal = self._refusals.get(provider.settings.name)
        state = ProviderState(provider.discovery, refusal, last_used_at)
        return view_of(provider.settings, people, state)

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            raise NotFound("There is no such identity provider here.")
        return self._providers[name]

    def _count(self, limit: TryLimit, client: Client) -> None:
        refusal = limit.take(client.address)
        if refusal is None:
            return
        if refusal.is_first:
            detail = {"reason": refusal.reason}
            self._history.event(client.nobody, "login.limited", "", detail=detail, essential=True)
        raise Limited("Too many tries.", retry_after=refusal.retry_after)

    def _guarded(self, provider: Provider, client: Client, work: Callable[[], T]) -> T:
        """Do it; the one place where whatever goes wrong becomes a refusal on record, without a session."""
        try:
            return work()
        except Fault as fault:
            self._refuse(provider, client, fault)
        except QuarterdeckError:
            raise  # this node's own: a full disk, too many at once
        except Exception as error:
            # Libraries raise what they like when a provider lies; the text may hold what it sent.
            logger.exception("an unexpected answer of the identity provider %s", provider.settings.name)
            self._refuse(provider, client, Fault(f"unexpected: {type(error).__name__}"))

    def _refuse(self, provider: Provider, client: Client, fault: Fault) -> NoReturn:
        label = provider.settings.label
        self._refusals[provider.settings.name] = Contact(self._clock.now(), fault.reason)
        detail = {
            "by": provider.settings.name,
            "reason": fault.reason,
            "agent": plain(client.user_agent, AGENT_LENGTH),
        }
        self._history.event(client.nobody, "login.refused", "", detail=detail, essential=True)
        raise SignInRefused(fault.message.format(label=label), label) from fault

    def _finish(
        self, provider: Provider, cookie: str, callback: Callback, client: Client, actor: Actor
    ) -> Finish:
        flow = self._flows.open(cookie, provider.settings.name)
        if callback.is_odd or not _is_short(callback):
            raise Fault("a parameter of the callback is doubled or too long", UNTRUSTED)
        self._flows.use(flow, callback.state or "")
        claims = self._talk(_claims(provider, callback, flow), patience_seconds=_PATIENCE_SECONDS)
        if flow.session_id:
            if flow.session_id != _session_of(actor):
                raise Fault("another person is signed in now than the one who wanted to connect")
            self._accounts.connect(provider.settings, claims, actor)
            return Finish(flow.next)
        person = self._accounts.admit(provider.settings, claims, client)
        for limit in (self._starts, self._callbacks):
            limit.give_back(client.address)
        sealed = self._sealed_hint(claims.id_token, person.id)
        session = self._access.sign_in_by_provider(
            person, client, provider=provider.settings.name, sealed_id_token=sealed
        )
        return Finish(flow.next, session)

    def _sealed_hint(self, id_token: str, person_id: str) -> str:
        if not id_token:
            return ""
        return base64.b64encode(self._vault.seal(id_token, _hint_purpose(person_id))).decode()

    def _opened_hint(self, sealed: str, person_id: str | None) -> str:
        return self._vault.open(base64.b64decode(sealed), _hint_purpose(person_id)) if sealed else ""

    def _talk(
        self, work: Coroutine[Any, Any, T], seconds: float = TALK_SECONDS, *, patience_seconds: float = 0
    ) -> T:
        """Wait for a provider on the loop; a few at once, so that a slow one can't hold all threads."""
        if not self._talks.acquire(timeout=patience_seconds):
            work.close()
            raise Limited("Many people are signing in at this moment.", retry_after=5)
        try:
            return self._loop.run(work, timeout_seconds=seconds)
        except Busy as error:
            raise Fault("no answer in time") from error
        finally:
            self._talks.release()


async def _claims(provider: Provider, callback: Callback, flow: Flow) -> Claims:
    await provider.check_issuer(callback.issuer)
    if callback.error is not None:
        raise Fault(f"the provider says {error_word(callback.error) or 'an error'}", DECLINED)
    if not callback.code:
        raise Fault("the callback has no code")
    return await provider.claims(callback.code, flow)


def _provider(settings: ProviderSettings, outgoing: Outgoing, clock: Clock) -> Provider:
    if settings.kind is ProviderKind.GITHUB:
        return GitHubProvider(settings, outgoing)
    return OpenIdProvider(settings, outgoing, clock)


def _is_short(callback: Callback) -> bool:
    values = (callback.state, callback.code, callback.error, callback.issuer)
    return all(value is None or len(value) <= _LONGEST_PARAMETER for value in values)


def _session_of(actor: Actor) -> str:
    return actor.credential_id or "" if actor.kind is ActorKind.PERSON else ""


def _hint_purpose(person_id: str | None) -> str:
    return f"id token of {person_id}"
