"""What the edges accept for hosts and API bases."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form, example, parse
from quarterdeck.core.zones import in_zone
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import SECRETS, HostKind, HostRecord
from quarterdeck.hosts.silences import SilenceDraft

_SEPARATOR: Final = re.compile(r"[\s,]+")
_PLAIN: Final = ("name", "kind", "address", "port", "username", "tags", "jump", "use_agent")


def _trimmed(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _written(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("Write a time such as 2030-01-31T18:00:00Z.")
    return value


Text = Annotated[str, BeforeValidator(_trimmed)]
Written = Annotated[datetime, BeforeValidator(_written)]
"""A time as text: a number would be taken for seconds since 1970."""


class HostBody(Form):
    """A host as programs and import files write it. Secrets are taken and never given back."""

    name: Text
    kind: HostKind = HostKind.SSH
    address: Text = ""
    port: int | None = Field(default=None, ge=0, le=65535)
    username: Text = ""
    tags: list[Text] = Field(default_factory=list, max_length=50)
    jump: Text = ""
    host_key: Text = ""
    use_agent: bool = False
    private_key: str = Field(default="", repr=False)
    passphrase: str = Field(default="", repr=False)
    certificate: str = ""
    password: str = Field(default="", repr=False)
    token: str = Field(default="", repr=False)

    def draft(self) -> HostDraft:
        return HostDraft(
            name=self.name,
            kind=self.kind,
            address=self.address,
            port=self.port or 0,
            username=self.username,
            tags=tuple(self.tags),
            jump=self.jump,
            host_key=self.host_key,
            use_agent=self.use_agent,
            secrets={name: getattr(self, name) for name in SECRETS if getattr(self, name)},
        )


class NewHostBody(HostBody, title="NewHost"):
    """The body of ``POST /api/v1/hosts``."""

    model_config = example(
        {"name": "web1", "kind": "ssh", "address": "web1.example", "username": "deploy", "tags": ["web"]}
    )

    confirm_host_key: bool = Field(
        default=False,
        description="Wait for POST …/host-key with the fingerprint, instead of pinning the first key seen.",
    )


class HostPatch(Form, title="HostChange"):
    """What to change of a host; what is left out stays. ``forget`` names stored secrets to drop."""

    name: Text | None = None
    address: Text | None = None
    port: int | None = Field(default=None, ge=0, le=65535)
    username: Text | None = None
    tags: list[Text] | None = Field(default=None, max_length=50)
    jump: Text | None = None
    host_key: Text | None = None
    use_agent: bool | None = None
    private_key: str | None = Field(default=None, repr=False)
    passphrase: str | None = Field(default=None, repr=False)
    certificate: str | None = None
    password: str | None = Field(default=None, repr=False)
    token: str | None = Field(default=None, repr=False)
    forget: list[str] = Field(default_factory=list, max_length=8)

    def applied_to(self, record: HostRecord) -> HostDraft:
        """Return the host with these changes; keeps all that is not named."""
        kept = kept_values(record)
        changeable = (*kept, "host_key")
        given = {name: value for name in changeable if (value := getattr(self, name, None)) is not None}
        secrets = {name: value for name in SECRETS if (value := getattr(self, name))}
        values = kept | given
        return HostDraft(
            **values | {"tags": tuple(values["tags"])}, secrets=secrets, forget=frozenset(self.forget)
        )


class TagsBody(Form, title="HostTags"):
    """All tags of a host; an empty list takes them away."""

    tags: list[Text] = Field(max_length=50)


class FingerprintBody(Form, title="Fingerprint"):
    """The fingerprint of the key to pin, as ``ssh-keygen -lf`` prints it: ``SHA256:…``."""

    fingerprint: Text = Field(min_length=1, max_length=200)


class ImportBody(Form, title="NewHostImport"):
    """Many hosts at once: the text of a YAML file or of an OpenSSH config."""

    model_config = example(
        {"text": "- name: web1\n  address: web1.example\n", "format": "yaml", "preview": True}
    )

    text: str = Field(max_length=1_000_000)
    format: str = Field(default="yaml", pattern="^(yaml|openssh)$")
    preview: bool = False


class BaseBody(Form, title="NewBase"):
    """An API base as forms and programs write it."""

    name: Text
    url: Text
    bearer: Text = Field(default="", repr=False)


class SilenceBody(Form, title="NewSilence"):
    """A silence as programs write it: of a host or of a tag; now and for two hours where nothing is said."""

    model_config = example({"host": "web1", "reason": "New disks", "ends_at": "2030-01-31T18:00:00Z"})

    host: Text = ""
    tag: Text = ""
    reason: Text
    begins_at: Written | None = Field(default=None, description="Now when left out. UTC without a zone.")
    ends_at: Written | None = Field(
        default=None, description="Two hours after it begins when left out; 90 days at most."
    )

    def draft(self) -> SilenceDraft:
        """Return what is asked for; raises Invalid for a time that no calendar holds."""
        try:
            begins, ends = (moment and in_zone(moment, UTC) for moment in (self.begins_at, self.ends_at))
        except OverflowError as error:
            raise Invalid({"ends_at": "There is no such time."}) from error
        return SilenceDraft(self.host, self.tag, self.reason, begins, ends)


class HostForm(Form):
    """The fields of the page; each kind of host shows its own."""

    name: Text = ""
    address: Text = ""
    port: Text = ""
    username: Text = ""
    tags: Text = ""
    jump: Text = ""
    host_key: Text = ""
    use_agent: bool = False
    private_key: str = Field(default="", repr=False)
    passphrase: str = Field(default="", repr=False)
    certificate: str = ""
    password: str = Field(default="", repr=False)
    token: str = Field(default="", repr=False)
    forget: tuple[str, ...] = ()

    def draft(self, kind: HostKind) -> HostDraft:
        """Return what the form asks for; raises Invalid for a port that is no number."""
        if self.port and not re.fullmatch(r"[0-9]{1,5}", self.port):
            raise Invalid({"port": "Use a port from 1 to 65535."})
        return HostDraft(
            name=self.name,
            kind=kind,
            address=self.address,
            port=int(self.port or 0),
            username=self.username,
            tags=split_tags(self.tags),
            jump=self.jump,
            host_key=self.host_key,
            use_agent=self.use_agent,
            secrets={name: getattr(self, name) for name in SECRETS if getattr(self, name)},
            forget=frozenset(self.forget),
        )


def read_host_form(values: Mapping[str, Any], forget: Sequence[str]) -> HostForm:
    """Return the page's fields; raises Invalid for one that there is not."""
    return parse(HostForm, {**values, "forget": tuple(forget)})


def read_silence_form(values: Mapping[str, str], zone: tzinfo) -> SilenceDraft:
    """Return what the page's fields ask for, with times in the zone given; raises Invalid."""
    times: dict[str, datetime | None] = {}
    faults: dict[str, str] = {}
    for name in ("begins_at", "ends_at"):
        text = values.get(name, "").strip()
        try:
            times[name] = in_zone(datetime.fromisoformat(text), zone) if text else None
        except (ValueError, OverflowError):
            faults[name] = "Write a time such as 2030-01-31 18:00, or leave it empty."
    if faults:
        raise Invalid(faults)
    host, tag, reason = (values.get(name, "").strip() for name in ("host", "tag", "reason"))
    return SilenceDraft(host, tag, reason, times["begins_at"], times["ends_at"])


def split_tags(text: str) -> tuple[str, ...]:
    """Return the tags of a field in which spaces or commas part them."""
    return tuple(filter(None, _SEPARATOR.split(text)))


def kept_values(record: HostRecord) -> dict[str, Any]:
    """Return what a host has now, as a draft takes it.

    Secrets and the host key are left out: they are kept by themselves, and an edit that was begun
    before a new key was confirmed must not bring the old one back.
    """
    values = {name: getattr(record, name) for name in _PLAIN}
    if record.kind is HostKind.WORKER:
        values["address"], values["port"] = record.url, 0  # none for one that dials in
    return values
