"""What goes in and out of signing in through a provider."""

from dataclasses import dataclass
from datetime import datetime

from quarterdeck.core.identity_settings import ProviderSettings
from quarterdeck.core.identity_values import ProviderKind, Rules


@dataclass(frozen=True, slots=True)
class Callback:
    """The parameters with which a browser comes back; None for those that were missing."""

    state: str | None
    code: str | None
    error: str | None
    issuer: str | None
    is_odd: bool = False
    """A parameter was there twice."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where the browser goes, and the cookie that it takes along."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Where a sign-in ended; without a cookie an account was connected."""

    next: str
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class Contact:
    """When something last happened between this node and a provider, and what went wrong, if anything did."""

    at: datetime
    error: str = ""


@dataclass(frozen=True, slots=True)
class ProviderState:
    """How things stand with a provider since this node started; None for what has not happened."""

    discovery: Contact | None = None
    refusal: Contact | None = None
    """The last sign-in that ended without a session, whoever's fault it was."""
    last_used_at: datetime | None = None
    """The last sign-in that succeeded, also before the start."""


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A provider as an administrator may see it: all of its settings but the secret."""

    name: str
    kind: ProviderKind
    label: str
    issuer: str
    client_id: str
    has_secret: bool
    scopes: tuple[str, ...]
    groups_claim: str
    required_group: str
    default_role: str
    role_rules: Rules
    group_rules: Rules
    callback_path: str
    people: int
    """How many accounts are connected with it."""
    given_by: tuple[str, ...]
    """The names of the settings that make it."""
    state: ProviderState

    @property
    def has_discovery(self) -> bool:
        return self.kind is ProviderKind.OIDC

    @property
    def word(self) -> str:
        """How the provider did when it was asked last."""
        if self.state.discovery is None:
            return "not asked yet"
        return "does not answer" if self.state.discovery.error else "answers"


def callback_path(name: str) -> str:
    """Return the path to register at the provider."""
    return f"/sign-in/with/{name}/callback"


def view_of(settings: ProviderSettings, people: int, state: ProviderState) -> ProviderView:
    """Return what may be shown of a provider."""
    return ProviderView(
        name=settings.name,
        kind=settings.kind,
        label=settings.label,
        issuer=settings.issuer,
        client_id=settings.client_id,
        has_secret=bool(settings.client_secret),
        scopes=settings.scopes,
        groups_claim=settings.groups_claim,
        required_group=settings.required_group,
        default_role=settings.default_role or "",
        role_rules=settings.role_rules,
        group_rules=settings.group_rules,
        callback_path=callback_path(settings.name),
        people=people,
        given_by=settings.given_by,
        state=state,
    )
