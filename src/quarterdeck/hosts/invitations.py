"""Invitations: one-time codes by which workers that dial in become known, each side with its own token."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NoReturn

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from quarterdeck.core.actors import NOBODY, SYSTEM, Actor, ActorKind
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Conflict, Forbidden, Invalid, Limited, NotFound
from quarterdeck.core.ids import new_id
from quarterdeck.core.limits import TryLimit
from quarterdeck.core.pinning import read_pin
from quarterdeck.core.security import same, token_digest
from quarterdeck.history.service import History
from quarterdeck.hosts import addresses, store
from quarterdeck.hosts.changes import Changes
from quarterdeck.hosts.drafts import HostDraft, checked, read_tags
from quarterdeck.hosts.join_codes import code_digest, new_code
from quarterdeck.hosts.models import LINE, Host, HostKind, Invitation, InvitationRecord
from quarterdeck.hosts.rows import Rows
from quarterdeck.protocol.line import CodeJoin, CodeJoined

MINUTES: Final = 15
_KEEP_DAYS: Final = 1
_SHORTEST_TOKEN: Final = 24
_LONGEST_TOKEN: Final = 200
_DEAD: Final = "This code is not valid: it may be mistyped, used, expired or revoked. Ask for a new one."


@dataclass(frozen=True, slots=True)
class Invited:
    """A new invitation with its code, which is shown this once, and the command to type on the machine."""

    record: InvitationRecord
    code: str
    command: str


class Invitations:
    """Makes codes and takes them; safe for threads."""

    def __init__(
        self,
        db: Database,
        history: History,
        clock: Clock,
        settings: Settings,
        *,
        rows: Rows,
        changes: Changes,
    ) -> None:
        self._db, self._history, self._clock, self._settings = db, history, clock, settings
        self._rows, self._changes = rows, changes
        self._tries = TryLimit(clock)

    def invite(self, actor: Actor, name: str, tags: tuple[str, ...] = (), *, pin: str = "") -> Invited:
        """Make a code by which one worker may join under this name. Raises Invalid or Conflict.

        ``pin`` is the fingerprint of this master's certificate as the worker will see it; it is only
        written into the command.
        """
        name, tags, pin = _checked(name, tags, pin)
        now, code = self._clock.now(), new_code()
        with self._history.action(actor, "host.invite", f"host:{name}", detail={"host": name}) as outcome:
            with self._db.write() as session:
                store.check_free(session, name)
                old = Invitation.expires_at < now - timedelta(days=_KEEP_DAYS)
                session.execute(delete(Invitation).where(old))
                invitation = Invitation(
                    id=new_id(),
                    digest=code_digest(code),
                    name=name,
                    tags=list(tags),
                    invited_by=actor.label[:160],
                    created_at=now,
                    expires_at=now + timedelta(minutes=MINUTES),
                )
                session.add(invitation)
            outcome["invitation"] = invitation.id
        return Invited(_record(invitation), code, self._command(code, pin))

    def open(self) -> list[InvitationRecord]:
        """Return the invitations that can still be taken up, newest first."""
        statement = select(Invitation).where(*self._is_open()).order_by(Invitation.id.desc())
        with self._db.read() as session:
            return [_record(each) for each in session.scalars(statement)]

    def revoke(self, actor: Actor, invitation_id: str) -> None:
        """Take an invitation back; raises NotFound for one that can't be taken up any more."""
        found = next((each for each in self.open() if each.id == invitation_id), None)
        if found is None:
            raise NotFound("There is no open invitation of this id.")
        detail = {"host": found.name, "invitation": found.id}
        with (
            self._history.action(actor, "host.uninvite", f"host:{found.name}", detail=detail),
            self._db.write() as session,
        ):
            invitation = session.get_one(Invitation, found.id)
            if invitation.used_at is not None:
                raise Conflict(f"A worker has just joined by it; remove {found.name} instead.")
            invitation.revoked_at = self._clock.now()

    def join(self, wanted: CodeJoin, address: str) -> CodeJoined:
        """Make a worker known by its code. Raises Invalid, Conflict, and Forbidden for a bad code.

        Guessing is slowed down by address and in all, and each refused code is on record.
        """
        if refusal := self._tries.take(address):
            if refusal.is_first:
                self._note_refusal(address, refusal.reason)
            raise Limited("Too many codes were tried.", retry_after=refusal.retry_after)
        _check_tokens(wanted)
        found = self._find(wanted, address)
        host_id = found.host_id or self._add(found, wanted, address)
        self._tries.give_back(address)
        self._history.note_witness(found.name, wanted.head, wanted.seq)
        head, seq = self._history.witness()
        return CodeJoined(audience=host_id, name=found.name, head=head, seq=seq)

    def _find(self, wanted: CodeJoin, address: str) -> Invitation:
        """Return the invitation that a code opens; one that was used, only to the worker that used it."""
        digest = code_digest(wanted.code)
        with self._db.read() as session:
            statement = select(Invitation).where(Invitation.digest == digest)
            found = session.scalar(statement) if digest else None
            fault = self._fault(session, found, wanted)
        if found is None or fault:
            self._refuse(address, fault, found.name if found else "")
        return found

    def _fault(self, session: Session, found: Invitation | None, wanted: CodeJoin) -> str:
        if found is None:
            return "unknown code"
        if found.revoked_at is not None:
            return "revoked code"
        if found.expires_at <= self._clock.now():
            return "expired code"
        if found.used_at is None:
            return ""
        host = session.get(Host, found.host_id)
        is_same = host is not None and same(host.token_digest or "", token_digest(wanted.token))
        return "" if is_same else "used code"

    def _refuse(self, address: str, fault: str, name: str) -> NoReturn:
        self._note_refusal(address, fault, name)
        raise Forbidden(_DEAD)

    def _note_refusal(self, address: str, fault: str, name: str = "") -> None:
        actor = Actor(ActorKind.NOBODY, NOBODY.name, address=address)
        object_ = f"host:{name}" if name else "hosts"
        detail = {"error": fault, **({"host": name} if name else {})}
        self._history.event(actor, "host.join_refused", object_, detail=detail, essential=True)

    def _add(self, found: Invitation, wanted: CodeJoin, address: str) -> str:
        """Put the worker into the list and use the code up, in one step; returns the worker's id."""
        draft = checked(
            HostDraft(
                found.name,
                HostKind.WORKER,
                tags=tuple(found.tags),
                scheme=LINE,
                secrets={"token": wanted.bearer},
            )
        )
        detail = {
            "host": found.name,
            "invitation": found.id,
            "invited_by": found.invited_by.replace(":", " "),  # as "token:…" it would pass for a secret
            "node": wanted.node[:63],
            "version": wanted.version[:40],
        }
        actor = Actor(SYSTEM.kind, SYSTEM.name, address=address)
        with self._history.action(actor, "host.join", f"host:{found.name}", detail=detail):
            with self._db.write() as session:
                invitation = session.get_one(Invitation, found.id)
                if fault := self._fault(session, invitation, wanted):
                    self._refuse(address, fault, found.name)
                if invitation.host_id:
                    return invitation.host_id
                digest = token_digest(wanted.token)
                if session.scalar(select(Host.id).where(Host.token_digest == digest)):
                    raise Conflict("Another worker has this token; let this one make a new one.")
                host = self._rows.insert(session, draft, pin_first=False)
                host.token_digest, host.joined = digest, True
                host.version = wanted.version[:40]
                invitation.used_at, invitation.host_id = self._clock.now(), host.id
            self._changes.note([host.id])
        return host.id

    def _is_open(self) -> tuple[ColumnElement[bool], ...]:
        return (
            Invitation.used_at.is_(None),
            Invitation.revoked_at.is_(None),
            Invitation.expires_at > self._clock.now(),
        )

    def _command(self, code: str, pin: str) -> str:
        url = self._settings.public_url or self._settings.bind.url
        command = f"quarterdeck worker --join {code} --master {url}"
        return f"{command} --pin SHA256:{pin}" if pin else command


def _checked(name: str, tags: tuple[str, ...], pin: str) -> tuple[str, tuple[str, ...], str]:
    faults: dict[str, str] = {}
    try:
        addresses.read_name(name)
    except ValueError as error:
        faults["name"] = str(error)
    try:
        tags = read_tags(tags)
    except ValueError as error:
        faults["tags"] = str(error)
    try:
        pin = read_pin(pin) if pin else ""
    except ValueError as error:
        faults["pin"] = f"This must be {error}."
    if faults:
        raise Invalid(faults)
    return name, tags, pin


def _check_tokens(wanted: CodeJoin) -> None:
    faults = {}
    for name in ("bearer", "token"):
        text: str = getattr(wanted, name)
        if not (_SHORTEST_TOKEN <= len(text) <= _LONGEST_TOKEN and text.isascii() and text.isprintable()):
            faults[name] = f"A token has {_SHORTEST_TOKEN} to {_LONGEST_TOKEN} printable ASCII characters."
    if faults:
        raise Invalid(faults)
    if same(wanted.bearer, wanted.token):
        raise Invalid({"token": "Each side needs a token of its own."})


def _record(invitation: Invitation) -> InvitationRecord:
    return InvitationRecord(
        invitation.id,
        invitation.name,
        tuple(invitation.tags),
        invitation.invited_by,
        invitation.created_at,
        invitation.expires_at,
    )
