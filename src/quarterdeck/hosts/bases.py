"""API bases: the remote APIs that runs may call, each with the bearer that it wants."""

from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from quarterdeck.core.actors import Actor
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Invalid, NotFound
from quarterdeck.core.ids import new_id
from quarterdeck.core.vault import Vault
from quarterdeck.history.service import History
from quarterdeck.hosts import addresses
from quarterdeck.hosts.models import ApiBase, BaseRecord, base_record


class Bases:
    """Adds, lists and removes API bases; the bearer never leaves but for a call."""

    def __init__(self, db: Database, history: History, vault: Vault, clock: Clock) -> None:
        self._db, self._history, self._vault, self._clock = db, history, vault, clock

    def list_bases(self) -> list[BaseRecord]:
        """Return all bases by name."""
        with self._db.read() as session:
            return [base_record(base) for base in session.scalars(select(ApiBase).order_by(ApiBase.name))]

    def get(self, name: str) -> BaseRecord:
        """Return the base of that name; raises NotFound."""
        with self._db.read() as session:
            return base_record(_find(session, name))

    def add_base(self, actor: Actor, name: str, url: str, bearer: str = "") -> BaseRecord:
        """Register a remote API; raises Invalid for bad fields and Conflict for a name in use."""
        name, url = _checked(name, url, bearer)
        with self._history.action(
            actor, "base.add", f"base:{name}", detail={"url": url, "bearer": bool(bearer)}
        ):
            base = ApiBase(id=new_id(), name=name, url=url, created_at=self._clock.now())
            if bearer:
                base.bearer = self._vault.seal(bearer, f"base:{base.id}:bearer")
            with self._db.write() as session:
                _check_free(session, name)
                session.add(base)
            return base_record(base)

    def remove_base(self, actor: Actor, name: str) -> None:
        """Forget a base and its bearer; raises NotFound."""
        base = self.get(name)
        with (
            self._history.action(actor, "base.remove", f"base:{name}", detail={"url": base.url}),
            self._db.write() as session,
        ):
            session.delete(_find(session, name))

    def base_for(self, url: str) -> BaseRecord | None:
        """Return the base that an address lies under, the longest when several do; None when none does.

        The origin must be the same and the path must go on at a slash; an address that climbs with
        dot segments lies under nothing.
        """
        try:
            parts = urlsplit(url)
            origin = _origin(parts.scheme, parts.hostname, parts.port)
        except ValueError:
            return None
        if "@" in parts.netloc or addresses.has_dot_segments(parts.path):
            return None
        fitting = [base for base in self.list_bases() if _lies_under(origin, parts.path, base.url)]
        return max(fitting, key=lambda base: len(base.url), default=None)

    def bearer_of(self, base: BaseRecord) -> str:
        """Return the bearer to send with a call, or an empty text."""
        with self._db.read() as session:
            stored = session.get(ApiBase, base.id)
        if stored is None or stored.bearer is None:
            return ""
        return self._vault.open(stored.bearer, f"base:{base.id}:bearer")


def _checked(name: str, url: str, bearer: str) -> tuple[str, str]:
    faults: dict[str, str] = {}
    try:
        name = addresses.read_name(name)
    except ValueError as error:
        faults["name"] = str(error)
    try:
        url = addresses.read_base_url(url, with_bearer=bool(bearer))
    except ValueError as error:
        faults["url"] = str(error)
    if bearer and not (
        bearer.isascii() and bearer.isprintable() and " " not in bearer and len(bearer) <= 4096
    ):
        faults["bearer"] = "A bearer has printable ASCII characters, no spaces and at most 4,096 of them."
    if faults:
        raise Invalid(faults)
    return name, url


def _find(session: Session, name: str) -> ApiBase:
    base = session.scalar(select(ApiBase).where(ApiBase.name == name))
    if base is None:
        raise NotFound(f"There is no API base named “{name[:63]}”.")
    return base


def _check_free(session: Session, name: str) -> None:
    if taken := session.scalar(select(ApiBase.name).where(func.lower(ApiBase.name) == name.lower())):
        message = f"There is already an API base named “{taken}”."
        raise Conflict(message, errors={"name": message})


def _origin(scheme: str, host: str | None, port: int | None) -> tuple[str, str, int]:
    return scheme, (host or "").lower(), port or {"http": 80, "https": 443}.get(scheme, 0)


def _lies_under(origin: tuple[str, str, int], path: str, base_url: str) -> bool:
    base = urlsplit(base_url)
    if origin != _origin(base.scheme, base.hostname, base.port):
        return False
    prefix = base.path.rstrip("/")
    return path.rstrip("/") == prefix or path.startswith(f"{prefix}/")
