"""The verbs of access: who is added, signs in, acts, and is kept out."""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final

from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.agents import Client
from quarterdeck.access.api_sessions import ApiSessions, TokenPair
from quarterdeck.access.cli_token import cli_actor, is_loopback, read_cli_token
from quarterdeck.access.credentials import Credentials
from quarterdeck.access.lifetimes import Lifetimes
from quarterdeck.access.links import LinkPurpose, Links
from quarterdeck.access.models import EndReason, Person, PersonRecord, SessionRecord, TokenRecord
from quarterdeck.access.passwords import HashCost, Passwords
from quarterdeck.access.roster import Roster
from quarterdeck.access.sessions import Sessions
from quarterdeck.access.sign_in import SignIn
from quarterdeck.access.tokens import NewToken, Tokens
from quarterdeck.core.actors import Actor, Role
from quarterdeck.core.clock import Clock
from quarterdeck.core.config import Settings
from quarterdeck.core.db import Database
from quarterdeck.core.security import key_file, same, token_digest
from quarterdeck.history.service import History

_OVERLAP: Final = timedelta(seconds=10)


class Access:
    """People, sessions and tokens; safe to use from many threads and beside other processes."""

    def __init__(  # what a factory has, nothing made here lives elsewhere
        self,
        db: Database,
        history: History,
        clock: Clock,
        settings: Settings,
        on_sessions_ended: Callable[[list[str]], None],
        *,
        hash_cost: HashCost | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._on_sessions_ended = on_sessions_ended
        self.lifetimes = Lifetimes.of(settings)
        passwords, has_local = Passwords(hash_cost), settings.local_sign_in
        self._credentials = Credentials(db, clock, self.lifetimes)
        self._sessions = Sessions(db, history, clock, lifetimes=self.lifetimes, forget=self.forget)
        self._door = SignIn(
            db, history, clock, passwords=passwords, sessions=self._sessions, has_local_sign_in=has_local
        )
        self._links = Links(
            db,
            history,
            clock,
            passwords=passwords,
            sessions=self._sessions,
            forget=self.forget,
            has_local_sign_in=has_local,
        )
        self._roster = Roster(db, history, clock, passwords=passwords, door=self._door, forget=self.forget)
        self._tokens = Tokens(db, history, clock, forget=self.forget)
        self.api_sessions = ApiSessions(
            db,
            history,
            clock,
            lifetimes=self.lifetimes,
            key=key_file(settings.home / "keys" / "jwt.key"),
            forget=self.forget,
        )
        self._cli_digest = token_digest(read_cli_token(settings.home))
        self._reported_at = clock.now()

    # -- people

    def list_people(self, q: str = "") -> list[PersonRecord]:
        """Return people by name, those whose name contains the text."""
        return self._roster.select(q)

    def person(self, name: str) -> PersonRecord:
        """Return one person; raises NotFound."""
        return self._roster.get(name)

    def own_record(self, actor: Actor) -> PersonRecord:
        """Return the person behind an actor; raises NotFound for those who are no people."""
        return self._roster.of_actor(actor)

    def add_person(
        self,
        actor: Actor,
        name: str,
        *,
        role: Role | None = None,
        password: str | None = None,
        is_service: bool = False,
    ) -> PersonRecord:
        """Add somebody; without a password they sign in by a link first. Raises Invalid, Conflict."""
        return self._roster.add(actor, name, role=role, password=password, is_service=is_service)

    def set_role(self, actor: Actor, name: str, role: Role | None) -> PersonRecord:
        """Change a role; sessions end and tokens are revoked, since they were given for the old one."""
        return self._roster.set_role(actor, name, role)

    def disable(self, actor: Actor, name: str) -> PersonRecord:
        """Keep a person out; sessions and tokens end at once."""
        return self._roster.disable(actor, name)

    def enable(self, actor: Actor, name: str) -> PersonRecord:
        """Let a person in again, with an end to any lock-out."""
        return self._roster.enable(actor, name)

    # -- passwords

    def set_password(self, actor: Actor, name: str, password: str) -> None:
        """Set somebody's password; their sessions end and tokens are revoked."""
        self._roster.set_password(actor, name, password)

    def reset_password(self, actor: Actor, name: str) -> str:
        """Take somebody's password away; returns the path of a link by which they choose a new one."""
        self._roster.take_password(actor, name)
        return self._links.make(actor, name, valid_for=self.lifetimes.reset_link)

    def change_own_password(self, actor: Actor, old: str, new: str) -> None:
        """Change the actor's password; every other session and all tokens end. Raises Invalid."""
        self._roster.change_own_password(actor, old, new)

    # -- sessions

    def sign_in(self, name: str, password: str, *, address: str = "", user_agent: str = "") -> str:
        """Return a new session's cookie; raises Unauthenticated, Limited, or Forbidden where this is off."""
        return self._door.by_password(name, password, Client(address, user_agent))

    def sign_in_api(self, name: str, password: str, client: Client, *, scope: str = "") -> TokenPair:
        """Return tokens for an API client, by the same door. Raises Unauthenticated, Limited, Invalid."""
        person = self._door.prove(name, password, client)
        return self.api_sessions.begin(person.id, client, scope=scope, by="password")

    def sign_in_by_provider(
        self, person: Person, client: Client, *, provider: str, sealed_id_token: str
    ) -> str:
        """Return the cookie of a session for somebody whom an identity provider has proved."""
        return self._sessions.open(
            person,
            client,
            by=provider,
            stored=person.password_hash,
            provider=provider,
            sealed_id_token=sealed_id_token,
        )

    def provider_of_session(self, actor: Actor) -> tuple[str, str]:
        """Return the identity provider of the actor's session and the sealed id token; empty where none."""
        return self._sessions.provider_of(actor)

    def sign_in_by_link(
        self, token: str, *, password: str = "", address: str = "", user_agent: str = ""
    ) -> str:
        """Use a person's link up; returns a session's cookie."""
        return self._links.use(token, Client(address, user_agent), password=password)

    def set_up(self, token: str, name: str, password: str, *, address: str = "", user_agent: str = "") -> str:
        """Make the first administrator by the first link; returns a session's cookie."""
        return self._links.set_up(token, name, password, Client(address, user_agent))

    def link_purpose(self, token: str) -> LinkPurpose:
        """Look at a link without using it up; raises NotFound."""
        return self._links.purpose_of(token)

    def new_sign_in_link(self, actor: Actor, name: str) -> str:
        """Return the path of a link that signs the person in once."""
        return self._new_link(actor, name, self.lifetimes.link_of(actor))

    def new_invitation(self, actor: Actor, name: str) -> str:
        """Return the path of such a link for somebody who was just added, who may take more time."""
        return self._new_link(actor, name, self.lifetimes.invitation)

    def _new_link(self, actor: Actor, name: str, valid_for: timedelta) -> str:
        with self._db.read() as session:
            self._roster.editable(session, actor, name)
        return self._links.make(actor, name, valid_for=valid_for)

    def first_sign_in_link(self) -> str | None:
        """Return the path of a new link for the first administrator, or None when there is one."""
        return self._links.make_first()

    def sign_out(self, actor: Actor) -> None:
        self._sessions.sign_out(actor)

    def sessions_of(self, person_id: str) -> list[SessionRecord]:
        """Return a person's sessions that still count, last used first."""
        return self._sessions.of_person(person_id)

    def end_session(self, actor: Actor, session_id: str) -> None:
        """End one session, the actor's own or, for an administrator, anyone's; raises NotFound."""
        self._sessions.end(actor, session_id)

    def end_all(self, actor: Actor, name: str, *, keep: str | None = None) -> int:
        """End a person's sessions but one; returns how many there were."""
        return self._sessions.end_all(actor, name, keep=keep)

    # -- tokens

    def create_token(
        self,
        actor: Actor,
        name: str,
        label: str,
        scope: str,
        *,
        expires_days: int | None = None,
        host_tags: Collection[str] | None = None,
    ) -> NewToken:
        """Make a token that acts for a person, the actor or, for an administrator, anyone."""
        return self._tokens.create(actor, name, label, scope, expires_days=expires_days, host_tags=host_tags)

    def rotate_token(self, actor: Actor, token_id: str, *, overlap_hours: int = 24) -> NewToken:
        """Replace a token by a new secret; the old one counts for the overlap. Raises NotFound, Invalid."""
        return self._tokens.rotate(actor, token_id, overlap_hours=overlap_hours)

    def revoke_token(self, actor: Actor, token_id: str) -> None:
        """End a token; raises NotFound for a foreign one."""
        self._tokens.revoke(actor, token_id)

    def tokens_of(self, person_id: str | None = None) -> list[TokenRecord]:
        """Return the tokens of one person or of all that still count or expired lately, newest first."""
        return self._tokens.list_tokens(person_id)

    # -- who acts

    def actor_for_session(self, cookie: str, address: str) -> Actor | None:
        """Return the person behind a cookie, or None; looks in the database at most once a second."""
        return self._credentials.by_cookie(cookie, address)

    def actor_for_token(self, bearer: str, address: str) -> Actor | None:
        """Return the actor behind a bearer, or None; the command line's token counts on loopback only."""
        if same(token_digest(bearer), self._cli_digest):
            return cli_actor(address) if is_loopback(address) else None
        if bearer.count(".") == 2:  # the three parts of a signed JWT (RFC 7515)
            family = self.api_sessions.family_of(bearer)
            return self._credentials.by_family(family, address) if family else None
        return self._credentials.by_token(bearer, address)

    def forget_rights(self) -> None:
        """Have changed grants count at once."""
        self._credentials.forget()

    def person_now(self, person_id: str) -> Actor | None:
        """Return somebody as they stand by now, or None when disabled; a second late at most."""
        return self._credentials.by_person(person_id)

    def note_bad_bearer(self, bearer: str, address: str) -> None:
        """Put a bearer that nobody's lookup knew on record."""
        self._door.note_bad_bearer(bearer, address)

    def guessers_known(self) -> int:
        """Return how many addresses are remembered because of what they tried; a figure with an end."""
        return self._door.guessers_known() + self.api_sessions.guessers_known()

    def has_administrator(self) -> bool:
        """Tell whether the node is set up."""
        with self._db.read() as session:
            return store.other_administrators(session, None) > 0

    def report_ended(self) -> None:
        """Close the sockets of sessions and tokens that expired, or that another process ended.

        To be called every second or two; the span overlaps the last one because a commit may
        become visible later than its time says.
        """
        since, now = self._reported_at - _OVERLAP, self._clock.now()
        with self._db.read() as session:
            over = store.credentials_over(session, since, now)
        self._reported_at = now
        if over:
            self.forget(over)

    def end_credentials(self, session: Session, person: Person, reason: EndReason) -> list[str]:
        """End all that somebody may act by, in the caller's change; to be followed by ``forget``."""
        return store.end_credentials(session, person, reason, self._clock.now())

    def forget(self, credential_ids: list[str]) -> None:
        """Make a change of people count at once: nothing remembered is used again, and sockets close."""
        self._credentials.forget()
        if credential_ids:
            self._on_sessions_ended(credential_ids)
