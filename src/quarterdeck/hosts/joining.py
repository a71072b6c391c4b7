"""Making this master known to a worker, so that each side has a token of its own."""

import asyncio

from quarterdeck.core.actors import SYSTEM
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.security import new_token, token_digest
from quarterdeck.history.service import History
from quarterdeck.hosts import store
from quarterdeck.hosts.contacts import Contacts
from quarterdeck.hosts.models import HostState, WorkerLink
from quarterdeck.hosts.worker_calls import WorkerCalls
from quarterdeck.protocol.orders import JoinAnswer, JoinRequest


class Joining:
    """Calls a worker's ``POST /join`` with a fresh token, of which only the digest stays here."""

    def __init__(
        self,
        db: Database,
        history: History,
        settings: Settings,
        *,
        calls: WorkerCalls,
        contacts: Contacts,
    ) -> None:
        self._db, self._history, self._settings = db, history, settings
        self._calls, self._contacts = calls, contacts

    async def join(self, host_id: str, link: WorkerLink) -> JoinAnswer:
        """Join a listed worker; raises WorkerRefused or Unreachable and leaves it to be joined later."""
        token = new_token()
        # Stored before the call: if the answer is lost, the worker's new token is good all the same.
        await asyncio.to_thread(self._store_digest, host_id, token_digest(token))
        answer = await self._calls.join(link, self._request(host_id, token))
        self._history.note_witness(link.name, answer.head, answer.seq)
        await asyncio.to_thread(self._conclude, host_id, link, answer)
        return answer

    def _request(self, host_id: str, token: str) -> JoinRequest:
        head, seq = self._history.witness()
        return JoinRequest(
            master_url=self._settings.public_url or self._settings.bind.url,
            worker_token=token,
            master_name="master",
            audience=host_id,
            head=head,
            seq=seq,
        )

    def _store_digest(self, host_id: str, digest: str) -> None:
        with self._db.write() as session:
            host = store.find_by_id(session, host_id)
            host.token_digest, host.joined = digest, False

    def _conclude(self, host_id: str, link: WorkerLink, answer: JoinAnswer) -> None:
        detail = {"host": link.name, "node": answer.node[:63], "version": answer.version[:40]}
        self._history.event(SYSTEM, "host.joined", f"host:{link.name}", detail=detail)
        with self._db.write() as session:
            store.find_by_id(session, host_id).joined = True
        self._contacts.note(host_id, HostState.WELL, version=answer.version)
