"""Which host of the list is the machine of this master."""

import threading
from typing import Final

from quarterdeck.core.clock import Clock
from quarterdeck.core.errors import NotFound
from quarterdeck.hosts.models import HostKind, HostRecord
from quarterdeck.hosts.service import Hosts

_KEPT_SECONDS: Final = 5


class OwnHost:
    """Looks it up when asked, from any thread, and no more often than every few seconds.

    Its id stays; its name and tags, on which rights hang, may change.
    """

    def __init__(self, hosts: Hosts, clock: Clock) -> None:
        self._hosts, self._clock = hosts, clock
        self._lock = threading.Lock()
        self._record: HostRecord | None = None
        self._read_at = 0.0

    @property
    def id(self) -> str:
        """The id, as far as it has been looked up: empty before."""
        return self._record.id if self._record else ""

    def now(self) -> HostRecord:
        """Return the host as it stands; raises NotFound before the master has listed itself."""
        with self._lock:
            if self._record is None or self._clock.monotonic() - self._read_at >= _KEPT_SECONDS:
                found = self._hosts.list_hosts(kinds=(HostKind.MASTER,))
                if not found:
                    raise NotFound("This master has not listed its own machine yet.")
                self._record, self._read_at = found[0], self._clock.monotonic()
            return self._record
