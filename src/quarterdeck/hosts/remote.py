"""Hosts and API bases over the API of a master, for the commands."""

import json
from collections.abc import Collection, Sequence
from typing import Final
from urllib.parse import urlsplit

from quarterdeck.core.actors import Actor
from quarterdeck.core.api_client import ApiClient, Json, step
from quarterdeck.core.errors import Invalid
from quarterdeck.hosts.drafts import HostDraft, checked
from quarterdeck.hosts.host_keys import HostKey
from quarterdeck.hosts.invitations import Invited
from quarterdeck.hosts.models import (
    LINE,
    BaseRecord,
    HostKind,
    HostRecord,
    InvitationRecord,
    KeyState,
    SilenceRecord,
)
from quarterdeck.hosts.probing import TestResult
from quarterdeck.hosts.silences import SilenceDraft

_CONTACT_SECONDS: Final = 600.0
"""A first contact or a test may go over several hosts, each with the master's own limit."""
_INVITATIONS: Final = "/api/v1/hosts/invitations"
_SILENCES: Final = "/api/v1/silences"


class RemoteInvitations:
    """An ``InvitationBook``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def invite(self, _actor: Actor, name: str, tags: tuple[str, ...] = (), *, pin: str = "") -> Invited:
        answer = self._client.send("POST", _INVITATIONS, {"name": name, "tags": list(tags), "pin": pin})
        code, command = (self._client.read(str, answer.get(member)) for member in ("code", "command"))
        return Invited(self._client.read(InvitationRecord, answer), code, command)

    def open(self) -> list[InvitationRecord]:
        answer = self._client.get(_INVITATIONS)
        return self._client.read(list[InvitationRecord], self._client.part(answer, "invitations"))

    def revoke(self, _actor: Actor, invitation_id: str) -> None:
        self._client.send("DELETE", f"{_INVITATIONS}/{step(invitation_id)}")


class RemoteSilences:
    """A ``SilenceBook``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def add(self, _actor: Actor, draft: SilenceDraft) -> SilenceRecord:
        times = {"begins_at": draft.begins_at, "ends_at": draft.ends_at}
        body = {"host": draft.host, "tag": draft.tag, "reason": draft.reason}
        body |= {name: moment.isoformat() for name, moment in times.items() if moment}
        return self._client.read(SilenceRecord, self._client.send("POST", _SILENCES, body))

    def select(self, phases: Collection[str] = ()) -> list[SilenceRecord]:
        asked = {"phase": ",".join(phases)} if phases else {}
        answer = self._client.get(_SILENCES, **asked)
        return self._client.read(list[SilenceRecord], self._client.part(answer, "silences"))

    def end(self, _actor: Actor, silence_id: str) -> SilenceRecord:
        path = f"{_SILENCES}/{step(silence_id)}/end"
        return self._client.read(SilenceRecord, self._client.send("POST", path))


class RemoteBases:
    """A ``BaseBook``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def list_bases(self) -> list[BaseRecord]:
        return self._client.read(
            list[BaseRecord], self._client.part(self._client.get("/api/v1/bases"), "bases")
        )

    def add_base(self, _actor: Actor, name: str, url: str, bearer: str = "") -> BaseRecord:
        body = {"name": name, "url": url, "bearer": bearer}
        return self._client.read(BaseRecord, self._client.send("POST", "/api/v1/bases", body))

    def remove_base(self, _actor: Actor, name: str) -> None:
        self._client.send("DELETE", f"/api/v1/bases/{step(name)}")


class RemoteHosts:
    """A ``HostBook``. What can be checked without the list is checked here, in the same words."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.invitations = RemoteInvitations(client)
        self.bases = RemoteBases(client)
        self.silences = RemoteSilences(client)

    def list_hosts(
        self,
        tags: Collection[str] = (),
        kinds: Collection[str] = (),
        q: str = "",
        *,
        states: Collection[str] = (),
    ) -> list[HostRecord]:
        several = {"tag": list(tags), "kind": ",".join(kinds), "state": ",".join(states), "q": q}
        asked = {name: value for name, value in several.items() if value}
        pages = self._client.pages("/api/v1/hosts", **asked, limit=1000)
        return [
            self._record(host)
            for page in pages
            for host in self._client.read(list[Json], self._client.part(page, "hosts"))
        ]

    def get(self, name: str) -> HostRecord:
        return self._record(self._client.get(_path(name)))

    def add_host(self, _actor: Actor, draft: HostDraft, *, confirm_key: bool = True) -> HostRecord:
        checked(draft)
        body = _body(draft) | {"confirm_host_key": confirm_key}
        return self._record(self._client.send("POST", "/api/v1/hosts", body, seconds=_CONTACT_SECONDS))

    def remove_host(self, _actor: Actor, name: str) -> None:
        self._client.send("DELETE", _path(name))

    def revoke_worker(self, _actor: Actor, name: str) -> HostRecord:
        return self._record(self._client.send("POST", f"{_path(name)}/revoke", seconds=_CONTACT_SECONDS))

    def set_tags(self, _actor: Actor, name: str, tags: Sequence[str]) -> HostRecord:
        return self._record(self._client.send("PUT", f"{_path(name)}/tags", {"tags": list(tags)}))

    def test_host(self, _actor: Actor, name: str) -> TestResult:  # noqa: PT019 - no test
        answer = self._client.send("POST", f"{_path(name)}/test", seconds=_CONTACT_SECONDS)
        key = answer.get("host_key")
        return self._client.read(TestResult, answer | {"host_key": key and {"line": "", **key}})

    def scan_host(self, _actor: Actor, name: str) -> HostKey:
        answer = self._client.send("POST", f"{_path(name)}/scan", seconds=_CONTACT_SECONDS)
        return self._client.read(HostKey, {"line": "", **answer})

    def confirm_host_key(self, _actor: Actor, name: str, fingerprint: str) -> HostRecord:
        body = {"fingerprint": fingerprint}
        return self._record(
            self._client.send("POST", f"{_path(name)}/host-key", body, seconds=_CONTACT_SECONDS)
        )

    def check_import(self, drafts: Sequence[HostDraft]) -> dict[str, str]:
        try:
            rows = self._client.read(
                list[Json], self._client.part(self._import(drafts, preview=True), "rows")
            )
        except Invalid as error:
            return error.fields
        faults = [self._client.read(dict[str, str], row.get("errors")) for row in rows]
        return {f"{number}.{field}": text for number, row in enumerate(faults) for field, text in row.items()}

    def import_hosts(self, _actor: Actor, drafts: Sequence[HostDraft]) -> list[Json]:
        return self._client.read(list[Json], self._client.part(self._import(drafts, preview=False), "rows"))

    def _import(self, drafts: Sequence[HostDraft], *, preview: bool) -> Json:
        # JSON is YAML, which is what the call reads; row by row it tells faults as a home does.
        text = json.dumps({"hosts": [_body(draft) for draft in drafts]}, ensure_ascii=False)
        body = {"text": text, "format": "yaml", "preview": preview}
        return self._client.send("POST", "/api/v1/hosts/import", body, seconds=_CONTACT_SECONDS)

    def _record(self, answer: Json) -> HostRecord:
        key = self._client.read(Json, answer.get("host_key"))
        state = self._client.read(KeyState, key.get("state"))
        is_known = state in (KeyState.PINNED, KeyState.CHANGED)
        values = {
            **answer,
            "scheme": _scheme(answer),
            "key_state": state,
            "host_key": (key.get("public_key") if is_known else "") or "",
            "seen_key": key.get("shown_public_key") or "",
            "jump": answer.get("jump") or "",
            "stored": answer.get("stored_secrets"),
            "joined": answer.get("kind") == HostKind.WORKER,
            "pin_first": False,
        }
        return self._client.read(HostRecord, values)


def _path(name: str) -> str:
    return f"/api/v1/hosts/{step(name)}"


def _scheme(answer: Json) -> str:
    return LINE if answer.get("dials_in") else urlsplit(str(answer.get("url") or "")).scheme


def _body(draft: HostDraft) -> Json:
    plain = {
        "name": draft.name,
        "kind": draft.kind,
        "address": draft.address,
        "port": draft.port or None,
        "username": draft.username,
        "tags": list(draft.tags),
        "jump": draft.jump,
        "host_key": draft.host_key,
        "use_agent": draft.use_agent,
    }
    return plain | dict(draft.secrets)
