"""A sign-in under way. It lives sealed in a cookie: ten thousand begun ones cost the node nothing."""

import base64
import binascii
import hashlib
import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

import msgspec

from quarterdeck.access.providers.faults import STALE, Fault
from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import Busy
from quarterdeck.core.security import new_token, same, token_digest
from quarterdeck.core.vault import Vault

LIFETIME: Final = timedelta(minutes=10)
MOST_USED: Final = 8_192
"""More than the limit on callbacks lets through within the lifetime."""
_PURPOSE: Final = "identity flow"
_LONGEST_COOKIE: Final = 4_096
_LONGEST_PATH: Final = 1_024


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What must be the same when the browser comes back."""

    provider: str
    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    next: str
    began_at: datetime
    session_id: str = ""
    """The session that connects a provider to its account; empty for a sign-in."""

    @property
    def challenge(self) -> str:
        """Return the S256 challenge of the verifier (RFC 7636, 4.2)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Flows:
    """Begins flows and takes each back once; safe to use from many threads."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._lock = threading.Lock()
        self._used: OrderedDict[str, datetime] = OrderedDict()

    def begin(self, provider: str, *, redirect_uri: str, next_path: str, session_id: str = "") -> Flow:
        return Flow(
            provider=provider,
            state=new_token(),
            nonce=new_token(),
            verifier=new_token(),
            redirect_uri=redirect_uri,
            next=next_path if len(next_path) <= _LONGEST_PATH else "/",
            began_at=self._clock.now(),
            session_id=session_id,
        )

    def seal(self, flow: Flow) -> str:
        """Return the cookie of a flow."""
        sealed = self._vault.seal(msgspec.json.encode(flow).decode(), _PURPOSE)
        return base64.urlsafe_b64encode(sealed).decode()

    def open(self, cookie: str, provider: str) -> Flow:
        """Return the flow of a cookie; raises Fault for a foreign, changed or old one."""
        if not 0 < len(cookie) <= _LONGEST_COOKIE:
            raise Fault("no sign-in was begun in this browser", STALE)
        try:
            text = self._vault.open(base64.urlsafe_b64decode(cookie.encode()), _PURPOSE)
        except (Busy, binascii.Error, ValueError) as error:
            raise Fault("the cookie of the sign-in is not ours", STALE) from error
        flow = msgspec.json.decode(text, type=Flow)
        if flow.provider != provider:
            raise Fault("it began with another provider", STALE)
        if not flow.began_at <= self._clock.now() < flow.began_at + LIFETIME:
            raise Fault("it began too long ago", STALE)
        return flow

    def use(self, flow: Flow, state: str) -> None:
        """Use a flow up; raises Fault when the state is another one or was used already."""
        if not same(state, flow.state):
            raise Fault("state is missing or foreign", STALE)
        digest, now = token_digest(flow.state), self._clock.now()
        with self._lock:
            while self._used and next(iter(self._used.values())) + LIFETIME <= now:
                self._used.popitem(last=False)
            if digest in self._used:
                raise Fault("state was used already", STALE)
            self._used[digest] = now
            if len(self._used) > MOST_USED:
                self._used.popitem(last=False)

    def __len__(self) -> int:
        return len(self._used)
