"""The running parts of a master: each made on first use, from the settings and the parts below it.

The web app and the command line stand on the same ones; which of them a command needs, it makes, and
only those are loaded: all of them together take a second.
"""

import getpass
import socket
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from quarterdeck.access.grants import Grants
from quarterdeck.access.profiles import Profiles
from quarterdeck.access.service import Access
from quarterdeck.core.actors import Actor, ActorKind, Role
from quarterdeck.core.clock import Clock, SystemClock
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.loop import Loop
from quarterdeck.core.migrations import migrate
from quarterdeck.core.security import key_file, private_directory
from quarterdeck.core.vault import Vault
from quarterdeck.history.peers import PeerBook
from quarterdeck.history.service import History

if TYPE_CHECKING:
    from quarterdeck.access.providers.service import Providers
    from quarterdeck.files.changes.service import Changes
    from quarterdeck.files.places.place import Author
    from quarterdeck.files.service import Files
    from quarterdeck.hosts.service import Hosts
    from quarterdeck.hosts.ssh import SshPool
    from quarterdeck.metrics.alerts.log import AlertLog
    from quarterdeck.metrics.alerts.rulebook import Rulebook
    from quarterdeck.notify.service import Toasts
    from quarterdeck.tasks.service import Runs

MASTER_NAME = "master"


class Parts:
    """What a master is made of. ``publish`` and ``end_sockets`` do nothing where no socket server runs."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.loop = Loop()
        private_directory(settings.home)

    def close(self) -> None:
        """Let go of the history, of the database and of the places of files, if they were used."""
        if "files" in self.__dict__:
            self.files.places.close()
        for name in ("history", "db"):
            if name in self.__dict__:
                getattr(self, name).close()

    def publish(self, event: str, data: dict[str, Any], *, room: str) -> None:
        """Tell the viewers of a room; the master that serves sockets overrides this."""

    def is_watched(self, room: str) -> bool:
        """Tell whether anybody is in a room; see ``publish``."""
        return False

    def end_sockets(self, credential_ids: list[str]) -> None:
        """End the sockets of these sessions and tokens; see ``publish``."""

    def check_sockets(self) -> None:
        """End the sockets of whoever has other rights by now; see ``publish``."""

    @property
    def worker_home(self) -> Path:
        """The home of the worker that `quarterdeck up` starts beside the master."""
        return self.settings.home / "worker"

    @property
    def address(self) -> str:
        """Where people open the pages."""
        return self.settings.public_url or self.settings.bind.url

    def person_id(self, name: str) -> str:
        """Return by what the parts know a person; raises NotFound."""
        return self.access.person(name).id

    @cached_property
    def actor(self) -> Actor:
        """Whoever uses the command line: with access to the home, all of it is open anyway."""
        return Actor(
            ActorKind.SYSTEM,
            f"cli:{getpass.getuser()}",
            address=socket.gethostname(),
            role=Role.ADMINISTRATOR,
        )

    @cached_property
    def history(self) -> History:
        return History(
            self.settings.home / "history",
            key=self._key("history"),
            node=MASTER_NAME,
            clock=self.clock,
            segment_bytes=self.settings.history_segment_megabytes * 1_000_000,
        )

    @cached_property
    def db(self) -> Database:
        database = Database(self.settings.database)
        migrate(database, self.settings.home / "migration.lock")
        return database

    @cached_property
    def vault(self) -> Vault:
        return Vault(self._key("secret"))

    @cached_property
    def access(self) -> Access:
        return Access(self.db, self.history, self.clock, self.settings, self.end_sockets)

    @cached_property
    def providers(self) -> "Providers":
        from quarterdeck.access.providers.service import Providers

        return Providers(
            db=self.db,
            history=self.history,
            clock=self.clock,
            settings=self.settings,
            vault=self.vault,
            loop=self.loop,
            access=self.access,
            rights_changed=self._rights_changed,
        )

    @cached_property
    def profiles(self) -> Profiles:
        return Profiles(self.db, self.history)

    @cached_property
    def grants(self) -> Grants:
        return Grants(
            self.db,
            self.history,
            self.clock,
            forget=self._rights_changed,
            exists=self._has_object,
        )

    def _has_object(self, object_: str) -> bool:
        """Tell whether there is what a grant is to be on."""
        kind, _, name = object_.partition(":")
        if kind == "place":
            return bool(self.files.places.targets(name))
        return self.hosts.list.has_object(object_)

    def _rights_changed(self) -> None:
        self.access.forget_rights()
        self.check_sockets()

    @cached_property
    def toasts(self) -> "Toasts":
        from quarterdeck.notify.service import Toasts

        return Toasts(self.db, self.history, self.publish, self.clock)

    @cached_property
    def pool(self) -> "SshPool":
        from quarterdeck.hosts.ssh import SshPool

        return SshPool(
            exchange=self.settings.ssh_key_exchange,
            clock=self.clock,
            on_key_changed=lambda target, shown: self.hosts.key_changed(target, shown),
        )

    @cached_property
    def hosts(self) -> "Hosts":
        from quarterdeck.hosts.service import Hosts

        hosts = Hosts(
            self.db, self.history, self.vault, self.clock, self.publish, self.pool, self.loop, self.settings
        )
        hosts.tell_of_moved(self.check_sockets)
        return hosts

    @cached_property
    def runs(self) -> "Runs":
        from quarterdeck.tasks.output.store import OutputStore
        from quarterdeck.tasks.service import Runs

        return Runs(
            db=self.db,
            history=self.history,
            hosts=self.hosts,
            toasts=self.toasts,
            output=OutputStore(self.settings.home / "runs", counts_lines=True),
            pool=self.pool,
            clock=self.clock,
            settings=self.settings,
            loop=self.loop,
            publish=self.publish,
            is_watched=self.is_watched,
            person_now=self.access.person_now,
        )

    @cached_property
    def files(self) -> "Files":
        from quarterdeck.files.register import Places
        from quarterdeck.files.service import Files

        places = Places(
            self.db,
            self.history,
            self.vault,
            self.clock,
            self.loop,
            rights_changed=self._rights_changed,
            home=self.settings.home,
        )
        return Files(self.db, self.history, self.clock, places, records_views=self.settings.record_file_views)

    @cached_property
    def rules(self) -> "Rulebook":
        from quarterdeck.metrics.alerts.rulebook import Rulebook

        return Rulebook(self.db, self.history, self.clock)

    @cached_property
    def alert_log(self) -> "AlertLog":
        from quarterdeck.metrics.alerts.log import AlertLog

        return AlertLog(self.db, self.clock, self.hosts.list.roll, self.is_silenced)

    def is_silenced(self, host_id: str) -> bool:
        """Tell whether nobody is to be told of a host's alerts; in threads."""
        return self.hosts.silences.is_silenced(host_id)

    @cached_property
    def peers(self) -> PeerBook:
        """Who asks the workers for their histories."""
        from quarterdeck.hosts.peers import WorkerPeers

        return PeerBook(WorkerPeers(self.hosts, self.history))

    @cached_property
    def changes(self) -> "Changes":
        from quarterdeck.files.changes.service import Changes

        return Changes(
            self.db,
            self.history,
            self.clock,
            self.files.places,
            branch_hours=self.settings.file_branch_hours,
            author_of=self._author_of,
            forget=self.files.trees.forget,
        )

    def _author_of(self, actor: Actor) -> "Author":
        """Return who a commit is by; addresses are made up at the host that people open the pages at."""
        from quarterdeck.files.changes.service import author_for

        host = urlsplit(self.address).hostname or "localhost"
        return author_for(actor, self.profiles.chosen_by(actor).display_name, host)

    def _key(self, name: str) -> bytes:
        return key_file(self.settings.home / "keys" / f"{name}.key")
