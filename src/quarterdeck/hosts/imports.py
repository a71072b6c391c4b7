"""Many hosts at once: from YAML or an OpenSSH config into drafts, with the faults of each row."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Protocol, Self

import yaml

from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import parse
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.forms import HostBody
from quarterdeck.hosts.models import HostKind
from quarterdeck.hosts.ssh_config import HostProposal, read_ssh_config

MAX_BYTES: Final = 1_000_000
MAX_HOSTS: Final = 5_000
_MAX_DEPTH: Final = 6
_MAX_EVENTS: Final = 400_000


class ImportFormat(StrEnum):
    """Which files can be imported."""

    YAML = "yaml"
    OPENSSH = "openssh"


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One host of the file: what it would become, and what is wrong or worth knowing."""

    name: str
    draft: HostDraft | None
    errors: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """All that a file would add; nothing of it is stored yet. ``notes`` say what was left out."""

    rows: tuple[ImportRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def drafts(self) -> list[HostDraft]:
        return [row.draft for row in self.rows if row.draft]

    @property
    def faults(self) -> dict[str, str]:
        """Every fault as ``<row>.<field>``, rows counted from 0."""
        return {
            f"{number}.{name}": message
            for number, row in enumerate(self.rows)
            for name, message in row.errors.items()
        }

    @property
    def is_good(self) -> bool:
        return bool(self.rows) and not self.faults


@dataclass(frozen=True, slots=True)
class ImportDefaults:
    """What counts for hosts that don't say it themselves."""

    username: str = ""
    tags: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


class ImportCheck(Protocol):
    """Knows the list that the hosts would join."""

    def check_import(self, drafts: Sequence[HostDraft]) -> dict[str, str]:
        """Return the faults that importing these hosts would meet as ``<row>.<field>``."""


ReadKey = Callable[[str], str]
"""Reads the private key that a config names; only the command line may, with its own user's rights."""


def plan_import(
    hosts: ImportCheck,
    text: str,
    format_: ImportFormat,
    defaults: ImportDefaults | None = None,
    *,
    read_key: ReadKey | None = None,
) -> ImportPlan:
    """Read a file and check each row against the rules and the list; raises Invalid for a bad file."""
    if len(text.encode()) > MAX_BYTES:
        raise Invalid({"text": f"The file is larger than {MAX_BYTES // 1_000_000} MB; import it in parts."})
    plan = (
        ImportPlan(tuple(_from_yaml(text))) if format_ is ImportFormat.YAML else _from_openssh(text, read_key)
    )
    if not plan.rows:
        raise Invalid({"text": " ".join(["There is no host in this file.", *plan.notes[:3]])})
    if len(plan.rows) > MAX_HOSTS:
        raise Invalid({"text": f"There are more than {MAX_HOSTS:,} hosts; import them in parts."})
    rows = [_with_defaults(row, defaults or ImportDefaults()) for row in plan.rows]
    return replace(plan, rows=tuple(_checked(hosts, rows)))


def _with_defaults(row: ImportRow, defaults: ImportDefaults) -> ImportRow:
    draft = row.draft
    if draft is None or draft.kind is not HostKind.SSH:
        return row
    has_login = draft.secrets or draft.use_agent
    draft = replace(
        draft,
        username=draft.username or defaults.username,
        tags=tuple(dict.fromkeys((*draft.tags, *defaults.tags))),
        secrets=draft.secrets if has_login else dict(defaults.secrets),
    )
    return replace(row, draft=draft)


def _checked(hosts: ImportCheck, rows: Sequence[ImportRow]) -> Iterator[ImportRow]:
    """Yield the rows with the faults that importing them would meet, beside those they have already."""
    faults = hosts.check_import([row.draft for row in rows if row.draft])
    number = 0
    for row in rows:
        if row.draft is None:
            yield row
            continue
        prefix = f"{number}."
        mine = {name.removeprefix(prefix): text for name, text in faults.items() if name.startswith(prefix)}
        yield replace(row, errors={**mine, **row.errors})
        number += 1


def _from_yaml(text: str) -> list[ImportRow]:
    """Read ``hosts:`` (a list, or a mapping by name) and ``defaults:``, which each host may override."""
    content = _load_yaml(text)
    if isinstance(content, list):
        content = {"hosts": content}
    if not isinstance(content, dict) or not isinstance(content.get("hosts"), list | dict):
        raise Invalid({"text": "Begin the file with “hosts:” and a list of hosts below it."})
    if unknown := sorted(str(key) for key in content if key not in ("hosts", "defaults")):
        raise Invalid(
            {"text": f"Only “hosts” and “defaults” may stand at the top, not {', '.join(unknown[:5])}."}
        )
    defaults = content.get("defaults") or {}
    if not isinstance(defaults, dict):
        raise Invalid({"text": "“defaults” must be a mapping, such as “username: deploy”."})
    listed = content["hosts"]
    if isinstance(listed, dict):
        listed = [
            {"name": name, **(row or {})} if isinstance(row or {}, dict) else row
            for name, row in listed.items()
        ]
    return [_yaml_row(row, defaults) for row in listed]


def _yaml_row(row: Any, defaults: dict[Any, Any]) -> ImportRow:  # Any: whatever YAML holds
    if not isinstance(row, dict):
        return ImportRow(
            str(row)[:63], None, {"name": "Write each host as a mapping with “name” and “address”."}
        )
    values = {str(key): value for key, value in {**defaults, **row}.items()}
    name = str(values.get("name", ""))[:63]
    if isinstance(values.get("tags"), str):
        values["tags"] = values["tags"].replace(",", " ").split()
    try:
        return ImportRow(name, parse(HostBody, values).draft())
    except Invalid as error:
        return ImportRow(name, None, error.fields)


def _load_yaml(text: str) -> Any:  # Any: whatever YAML holds
    """Load plain YAML; what could blow up (aliases, depth, sheer number) is refused before it is built."""
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
            if isinstance(event, yaml.AliasEvent):
                raise Invalid({"text": "References (&name, *name) are not accepted; use “defaults”."})
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH or count > _MAX_EVENTS:
                raise Invalid(
                    {"text": "This is nested too deeply or has too many parts for a list of hosts."}
                )
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise Invalid(
            {"text": f"This is not valid YAML{where}: {error.problem or 'it ends too early'}."}
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Invalid(
            {"text": "This is not valid YAML: it has characters that don't belong there."}
        ) from error


def _from_openssh(text: str, read_key: ReadKey | None) -> ImportPlan:
    """Read an OpenSSH config; jump hosts that it only mentions become hosts of their own."""
    reading = read_ssh_config(text)
    notes = tuple(f"Line {note.line}: {note.text}" if note.line else note.text for note in reading.notes)
    known = {proposal.name for proposal in reading.proposals}
    rows: dict[str, ImportRow] = {}
    for proposal in reading.proposals:
        jumps = [_Hop.read(hop) for hop in proposal.jump]
        before = ""
        for hop in jumps:
            if hop.is_new and hop.name not in known and hop.name not in rows:
                rows[hop.name] = _hop_row(hop, proposal, before)
            before = hop.name
        rows[proposal.name] = _openssh_row(proposal, before, read_key)
    return ImportPlan(tuple(rows.values()), notes)


@dataclass(frozen=True, slots=True)
class _Hop:
    """One step of a ProxyJump: the name of a host, or ``user@host:port``."""

    name: str
    username: str
    port: int
    is_new: bool

    @classmethod
    def read(cls, text: str) -> Self:
        username, _, place = text.rpartition("@")
        name, _, port = place.partition(":")
        return cls(
            name, username, int(port) if port.isdecimal() and len(port) < 6 else 0, bool(username or port)
        )


def _hop_row(hop: _Hop, proposal: HostProposal, jump: str) -> ImportRow:
    draft = HostDraft(
        name=hop.name,
        kind=HostKind.SSH,
        address=hop.name,
        port=hop.port,
        username=hop.username or proposal.username,
        jump=jump,
    )
    return ImportRow(hop.name, draft, notes=(f"The jump host of {proposal.name}.",))


def _openssh_row(proposal: HostProposal, jump: str, read_key: ReadKey | None) -> ImportRow:
    draft = HostDraft(
        name=proposal.name,
        kind=HostKind.SSH,
        address=proposal.address,
        port=proposal.port,
        username=proposal.username,
        jump=jump,
    )
    if not proposal.identity_file:
        return ImportRow(proposal.name, draft)
    if read_key is None:
        note = (
            f"Signs in with {proposal.identity_file[:200]} there; give that key below or on the host's page."
        )
        return ImportRow(proposal.name, draft, notes=(note,))
    try:
        secrets = {"private_key": read_key(proposal.identity_file)}
    except Invalid as error:
        return ImportRow(proposal.name, draft, errors=error.fields)
    return ImportRow(proposal.name, replace(draft, secrets=secrets))
