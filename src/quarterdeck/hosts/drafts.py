"""What somebody wants a host to be, checked as a whole before anything is stored or connected."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from quarterdeck.core.errors import Invalid
from quarterdeck.hosts import addresses, certificates, keys
from quarterdeck.hosts.models import LINE, SECRETS, SSH_PORT, WORKER_PORT, HostKind

T = TypeVar("T")

MAX_TAGS: Final = 20
_LONGEST: Final = {
    "private_key": 32_768,
    "passphrase": 1_024,
    "certificate": 16_384,
    "password": 1_024,
    "token": 1_024,
}
_FITTING: Final = {
    HostKind.SSH: frozenset({"private_key", "passphrase", "certificate", "password"}),
    HostKind.WORKER: frozenset({"token"}),
    HostKind.MASTER: frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class HostDraft:
    """A host as asked for. ``secrets`` holds only those given anew; those in ``forget`` are dropped."""

    name: str
    kind: HostKind
    address: str = ""
    port: int = 0
    username: str = ""
    tags: tuple[str, ...] = ()
    jump: str = ""
    host_key: str = ""
    use_agent: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    forget: frozenset[str] = frozenset()
    scheme: str = ""


class _Faults:
    """Collects the first fault of each field."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def read(
        self, name: str, reader: Callable[..., T], *arguments: Any, default: T
    ) -> T:  # Any: the reader's
        try:
            return reader(*arguments)
        except ValueError as error:
            self.fields.setdefault(name, str(error))
            return default


def checked(draft: HostDraft) -> HostDraft:
    """Return the draft in its normal form; raises Invalid with a message for each bad field."""
    faults = _Faults()
    name = faults.read("name", addresses.read_name, draft.name, default="")
    tags = faults.read("tags", read_tags, draft.tags, default=draft.tags)
    draft = replace(draft, name=name, tags=tags)
    for each in (_check_place, _check_login, _check_secrets):
        draft = each(draft, faults)
    if faults.fields:
        raise Invalid(faults.fields)
    return draft


def checked_all(drafts: Sequence[HostDraft]) -> list[HostDraft]:
    """Return all drafts in their normal form; raises Invalid with ``<row>.<field>`` for each fault."""
    faults: dict[str, str] = {}
    normal, names = [], set[str]()
    for number, draft in enumerate(drafts):
        try:
            normal.append(checked(draft))
        except Invalid as error:
            faults.update({f"{number}.{field}": message for field, message in error.fields.items()})
        if draft.name.lower() in names:
            faults.setdefault(f"{number}.name", f"“{draft.name}” stands there twice.")
        names.add(draft.name.lower())
    if faults:
        raise Invalid(faults)
    return normal


def read_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tags sorted and without repetition."""
    wanted = sorted({addresses.read_tag(tag) for tag in tags})
    if len(wanted) > MAX_TAGS:
        raise ValueError(f"Use at most {MAX_TAGS} tags.")
    return tuple(wanted)


def _check_place(draft: HostDraft, faults: _Faults) -> HostDraft:
    if draft.kind is HostKind.MASTER:
        return replace(draft, address="", port=0, scheme="")
    if draft.scheme == LINE:  # only an invitation makes such a host
        return replace(draft, address="", port=0)
    if draft.kind is HostKind.WORKER:
        place = faults.read(
            "address",
            addresses.read_worker_address,
            draft.address,
            draft.port,
            WORKER_PORT,
            default=("", "", 0),
        )
        return replace(draft, scheme=place[0], address=place[1], port=place[2])
    address = faults.read("address", addresses.read_address, draft.address, default="")
    port = faults.read("port", addresses.read_port, draft.port, SSH_PORT, default=SSH_PORT)
    return replace(draft, scheme="", address=address, port=port)


def _check_login(draft: HostDraft, faults: _Faults) -> HostDraft:
    if draft.kind is not HostKind.SSH:
        for name in ("username", "jump", "host_key"):
            if getattr(draft, name):
                faults.fields[name] = "Only an SSH host has this."
        return draft
    username = faults.read("username", addresses.read_username, draft.username, default="")
    jump = faults.read("jump", addresses.read_name, draft.jump, default="") if draft.jump else ""
    host_key = (
        faults.read("host_key", keys.read_host_key, draft.host_key, default="") if draft.host_key else ""
    )
    return replace(draft, username=username, jump=jump, host_key=host_key)


def _check_secrets(draft: HostDraft, faults: _Faults) -> HostDraft:
    given = {name: text for name, text in draft.secrets.items() if text}
    for name, text in given.items():
        if fault := _secret_fault(draft.kind, name, text):
            faults.fields[name] = fault
    _check_key(given, faults)
    unknown = draft.forget - set(SECRETS)
    if unknown:
        faults.fields["forget"] = f"Nothing of this name is stored: {', '.join(sorted(unknown))}."
    return replace(draft, secrets=given)


def _secret_fault(kind: HostKind, name: str, text: str) -> str:
    if name not in _FITTING[kind]:
        return f"A host of kind {kind} has no such secret."
    if len(text) > _LONGEST[name]:
        return f"This is longer than the {_LONGEST[name]:,} characters that fit."
    if name == "token" and not (text.isascii() and text.isprintable() and " " not in text):
        return "A token has printable ASCII characters and no spaces."
    return ""


def _check_key(given: Mapping[str, str], faults: _Faults) -> None:
    """Check that a key can be read, and that a certificate is one of it."""
    key, passphrase = given.get("private_key", ""), given.get("passphrase", "")
    if key and "private_key" not in faults.fields and (fault := keys.private_key_fault(key, passphrase)):
        faults.fields[fault.field] = fault.message
    if "certificate" not in given or {"private_key", "passphrase", "certificate"} & set(faults.fields):
        return
    if problem := certificates.certificate_problem(given["certificate"], key, passphrase):
        faults.fields["certificate"] = problem
