"""What the commands need of hosts and API bases, on a home or over the API of a master."""

from collections.abc import Collection, Sequence, Sized
from typing import Protocol

from quarterdeck.core.actors import Actor
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.host_keys import HostKey
from quarterdeck.hosts.invitations import Invited
from quarterdeck.hosts.models import BaseRecord, HostRecord, InvitationRecord, SilenceRecord
from quarterdeck.hosts.probing import TestResult
from quarterdeck.hosts.silences import SilenceDraft


class InvitationBook(Protocol):
    """Invitations of workers that dial in."""

    def invite(self, actor: Actor, name: str, tags: tuple[str, ...] = (), /, *, pin: str = "") -> Invited: ...

    def open(self) -> list[InvitationRecord]: ...

    def revoke(self, actor: Actor, invitation_id: str, /) -> None: ...


class BaseBook(Protocol):
    """API bases."""

    def list_bases(self) -> list[BaseRecord]: ...

    def add_base(self, actor: Actor, name: str, url: str, bearer: str = "", /) -> BaseRecord: ...

    def remove_base(self, actor: Actor, name: str, /) -> None: ...


class SilenceBook(Protocol):
    """Silences of hosts and tags."""

    def add(self, actor: Actor, draft: SilenceDraft, /) -> SilenceRecord: ...

    def select(self, phases: Collection[str] = (), /) -> list[SilenceRecord]: ...

    def end(self, actor: Actor, silence_id: str, /) -> SilenceRecord: ...


class HostBook(Protocol):
    """The service itself, or ``remote.RemoteHosts``; over the API the token says who acts."""

    @property
    def invitations(self) -> InvitationBook: ...
    @property
    def bases(self) -> BaseBook: ...
    @property
    def silences(self) -> SilenceBook: ...

    def list_hosts(
        self,
        tags: Collection[str] = (),
        kinds: Collection[str] = (),
        q: str = "",
        *,
        states: Collection[str] = (),
    ) -> list[HostRecord]: ...

    def get(self, name: str) -> HostRecord: ...

    def add_host(self, actor: Actor, draft: HostDraft, /, *, confirm_key: bool = True) -> HostRecord: ...

    def remove_host(self, actor: Actor, name: str, /) -> None: ...

    def revoke_worker(self, actor: Actor, name: str, /) -> HostRecord: ...

    def set_tags(self, actor: Actor, name: str, tags: Sequence[str], /) -> HostRecord: ...

    def test_host(self, actor: Actor, name: str, /) -> TestResult: ...

    def scan_host(self, actor: Actor, name: str, /) -> HostKey: ...

    def confirm_host_key(self, actor: Actor, name: str, fingerprint: str, /) -> HostRecord: ...

    def check_import(self, drafts: Sequence[HostDraft]) -> dict[str, str]: ...

    def import_hosts(self, actor: Actor, drafts: Sequence[HostDraft], /) -> Sized: ...
