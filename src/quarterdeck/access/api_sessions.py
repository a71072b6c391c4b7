"""Access and refresh tokens of API clients: short proofs that are checked without a look-up of their own,
renewed by secrets that are good once (RFC 6749 section 6, RFC 9068, RFC 9700 section 2.2.2).

An access token is a JWT of one family; it counts only as long as the family does, so that ending is at once.
"""

import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from quarterdeck.access import store
from quarterdeck.access.agents import Client, plain
from quarterdeck.access.lifetimes import Lifetimes
from quarterdeck.access.models import ADDRESS_LENGTH, AGENT_LENGTH, EndReason, Person, RefreshFamily
from quarterdeck.access.rights import may_touch
from quarterdeck.access.scopes import allows, include, levels_for, read_scopes, scopes_text
from quarterdeck.core.actors import Actor, ActorKind, Scope
from quarterdeck.core.clock import Clock
from quarterdeck.core.db import Database
from quarterdeck.core.errors import Invalid, Limited, NotFound, Unauthenticated
from quarterdeck.core.ids import new_id
from quarterdeck.core.limits import TryLimit
from quarterdeck.core.security import new_token, token_digest
from quarterdeck.history.service import History

FAMILIES_OF_ONE: Final = 50
MARK: Final = "qdr_"
"""Begins every refresh token, so that scanners for leaked secrets can know one."""
_ISSUER: Final = "quarterdeck"
_AUDIENCE: Final = "quarterdeck-api"
_TYPE: Final = "at+jwt"
_DEAD: Final = "This refresh token is not valid: it may be used up, expired or revoked. Sign in again."


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets: both secrets are told this once."""

    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds that the access token is good for."""
    refresh_expires_in: int
    scope: str


@dataclass(frozen=True, slots=True)
class FamilyRecord:
    """A sign-in of an API client as its owner sees it."""

    id: str
    person_id: str
    scope: str
    created_at: datetime
    last_used_at: datetime
    address: str
    user_agent: str
    expires_at: datetime


class ApiSessions:
    """Begins, renews and ends the families; safe to use from many threads and beside other processes."""

    def __init__(
        self,
        db: Database,
        history: History,
        clock: Clock,
        *,
        lifetimes: Lifetimes,
        key: bytes,
        forget: Callable[[list[str]], None],
    ) -> None:
        self._db = db
        self._history = history
        self._clock = clock
        self._lifetimes = lifetimes
        self._raw_key = key
        self._key = OctKey.import_key(key)
        self._forget = forget
        self._limit = TryLimit(clock)

    def begin(
        self,
        person_id: str,
        client: Client,
        *,
        scope: str = "",
        widest: Collection[Scope] | None = None,
        host_tags: Collection[str] | None = None,
        by: str,
    ) -> TokenPair:
        """Start a family for somebody who has proved who they are; ``widest`` is what the proof allows.

        Raises Invalid for a scope beyond that or beyond the person's rights.
        """
        name, asked = self._scopes_for(person_id, scope, widest)
        now, family_id = self._clock.now(), new_id()
        refresh_token = self._new_refresh_token(family_id)
        row = RefreshFamily(
            id=family_id,
            digest=token_digest(refresh_token),
            person_id=person_id,
            scope=scopes_text(asked),
            host_tags=None if host_tags is None else sorted(host_tags),
            created_at=now,
            last_used_at=now,
            address=plain(client.address, ADDRESS_LENGTH),
            user_agent=plain(client.user_agent, AGENT_LENGTH),
            expires_at=now + self._lifetimes.api_refresh,
            ended_reason="",
        )
        actor = Actor(ActorKind.PERSON, name, client.address, person_id=person_id, credential_id=row.id)
        detail = {"by": by, "scope": row.scope, "agent": row.user_agent}
        with self._history.action(actor, "login.api", f"person:{name}", detail=detail, essential=True):
            with self._db.write() as session:
                crowded = self._crowd_out(session, person_id, now)
                session.add(row)
                session.flush()
                pair = self._pair(row, refresh_token, now)
            self._forget(crowded)
        return pair

    def renew(self, refresh_token: str, client: Client) -> TokenPair:
        """Use a refresh token up and return the next pair; raises Unauthenticated or Limited.

        One that was used before ends its family: either its owner or a thief has shown it a second time.
        One that was never given away ends nothing, whatever family it names.
        """
        family_id = self._checked(refresh_token, client)
        now, fresh = self._clock.now(), self._new_refresh_token(family_id)
        with self._db.write() as session:
            row = session.get(RefreshFamily, family_id, with_for_update=True)
            person = session.get(Person, row.person_id) if row else None
            is_dead = row is None or row.ended_at is not None or row.expires_at <= now
            if row is None or person is None or is_dead or person.disabled_at is not None:
                raise Unauthenticated(_DEAD)
            if hmac.compare_digest(row.digest, token_digest(refresh_token)):
                row.digest, row.last_used_at = token_digest(fresh), now
                row.address = plain(client.address, ADDRESS_LENGTH)
                return self._pair(row, fresh, now)
            name = person.name
        self._end_stolen(family_id, name, client)
        raise Unauthenticated(_DEAD)

    def revoke(self, refresh_token: str, client: Client) -> None:
        """End the family of a refresh token; silent about one that has ended (RFC 7009)."""
        family_id = self._checked(refresh_token, client)
        with self._db.read() as session:
            row = session.get(RefreshFamily, family_id)
            person = session.get(Person, row.person_id) if row and row.ended_at is None else None
        if row is None or person is None or not hmac.compare_digest(row.digest, token_digest(refresh_token)):
            return
        owner = Actor(ActorKind.PERSON, person.name, person_id=person.id, credential_id=row.id)
        self._end(owner, person, [row.id], EndReason.SIGNED_OUT)

    def end(self, actor: Actor, family_id: str) -> None:
        """End one family, the actor's own or, for an administrator, anyone's; raises NotFound."""
        with self._db.read() as session:
            row = session.get(RefreshFamily, family_id)
            owner = session.get(Person, row.person_id) if row and row.ended_at is None else None
        if owner is None or not may_touch(actor, owner):
            raise NotFound("There is no such session, or it has ended already.")
        self._end(actor, owner, [family_id], EndReason.ENDED)

    def of_person(self, person_id: str) -> list[FamilyRecord]:
        """Return a person's families that still count, last used first."""
        with self._db.read() as session:
            return [_record(row) for row in self._live(session, person_id, self._clock.now())]

    def family_of(self, bearer: str) -> str | None:
        """Return the id of the family of an access token that is genuine and has not expired."""
        try:
            token = jwt.decode(bearer, self._key, algorithms=["HS256"])
            claims: dict[str, Any] = token.claims
        except (JoseError, ValueError, TypeError):
            return None
        expected = (token.header.get("typ"), claims.get("iss"), claims.get("aud"))
        if expected != (_TYPE, _ISSUER, _AUDIENCE):
            return None
        family, expires = claims.get("sid"), claims.get("exp")
        is_current = isinstance(expires, int) and self._clock.now().timestamp() < expires
        return family if is_current and isinstance(family, str) else None

    def guessers_known(self) -> int:
        """Return how many addresses are remembered because of made-up refresh tokens."""
        return len(self._limit)

    def _scopes_for(
        self, person_id: str, scope: str, widest: Collection[Scope] | None
    ) -> tuple[str, tuple[Scope, ...]]:
        """Return a person's name and the scopes to give, all that is allowed where none are asked for."""
        with self._db.read() as session:
            person = session.get_one(Person, person_id)
            role, grants = person.role_or_none, store.grants_of(session, person)
            name = person.name
        levels = levels_for(role, grants)
        asked = read_scopes(scope) if scope else tuple(widest or ()) or tuple(map(Scope, levels[-1:]))
        if not asked or not all(allows(role, grants, each) for each in asked):
            raise Invalid({"scope": f"{name}'s rights allow {' or '.join(levels) or 'nothing'} only."})
        if widest is not None and not include(widest, asked):
            raise Invalid({"scope": "This is more than the token allows that you came with."})
        return name, asked

    def _new_refresh_token(self, family_id: str) -> str:
        """Return a token of a family, signed so that a made-up one is told from one that was used before."""
        content = f"{family_id}.{new_token()}"
        return f"{MARK}{content}.{self._signature(content)}"

    def _signature(self, content: str) -> str:
        return hmac.new(self._raw_key, f"refresh {content}".encode(), "sha256").hexdigest()

    def _checked(self, refresh_token: str, client: Client) -> str:
        """Return the family of a token that was given away here, without a look into the database."""
        content, _, signature = refresh_token.removeprefix(MARK).rpartition(".")
        is_ours = hmac.compare_digest(signature.encode(), self._signature(content).encode())
        if refresh_token.startswith(MARK) and is_ours:
            return content.partition(".")[0]
        if refusal := self._limit.take(client.address):
            raise Limited("Too many tries.", retry_after=refusal.retry_after)
        raise Unauthenticated(_DEAD)

    def _pair(self, row: RefreshFamily, refresh_token: str, now: datetime) -> TokenPair:
        expires = min(now + self._lifetimes.api_access, row.expires_at)
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": row.person_id,
            "sid": row.id,
            "jti": new_id(),
            "iat": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "scope": row.scope,
        }
        return TokenPair(
            access_token=jwt.encode({"alg": "HS256", "typ": _TYPE}, claims, self._key),
            refresh_token=refresh_token,
            expires_in=int((expires - now).total_seconds()),
            refresh_expires_in=int((row.expires_at - now).total_seconds()),
            scope=row.scope,
        )

    def _crowd_out(self, session: Session, person_id: str, now: datetime) -> list[str]:
        rows = self._live(session, person_id, now)[FAMILIES_OF_ONE - 1 :]
        for row in rows:
            row.ended_at, row.ended_reason = now, EndReason.CROWDED_OUT.value
        return [row.id for row in rows]

    def _live(self, session: Session, person_id: str, now: datetime) -> list[RefreshFamily]:
        query = (
            select(RefreshFamily)
            .where(RefreshFamily.person_id == person_id, RefreshFamily.ended_at.is_(None))
            .where(RefreshFamily.expires_at > now)
            .order_by(RefreshFamily.last_used_at.desc(), RefreshFamily.id.desc())
        )
        return list(session.scalars(query))

    def _end_stolen(self, family_id: str, name: str, client: Client) -> None:
        with self._db.read() as session:
            row = session.get_one(RefreshFamily, family_id)
            owner = session.get_one(Person, row.person_id)
        detail = {"reason": "a refresh token was shown a second time", "session": family_id}
        self._history.event(client.nobody, "token.refused", f"person:{name}", detail=detail, essential=True)
        self._end(client.nobody, owner, [family_id], EndReason.REUSED)

    def _end(self, actor: Actor, owner: Person, ids: list[str], reason: EndReason) -> None:
        detail = {"session": ids[0], "reason": reason.value}
        with self._history.action(
            actor, "session.end", f"person:{owner.name}", detail=detail, essential=True
        ):
            with self._db.write() as session:
                store.mark_families_ended(session, ids, reason, self._clock.now())
            self._forget(ids)


def _record(row: RefreshFamily) -> FamilyRecord:
    return FamilyRecord(
        row.id,
        row.person_id,
        row.scope,
        row.created_at,
        row.last_used_at,
        row.address,
        row.user_agent,
        row.expires_at,
    )
