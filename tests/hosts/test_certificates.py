"""Signing in with a key that an authority has signed, and what is refused as a certificate of a key."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.test import TestResponse

from quarterdeck.core.config import Settings
from quarterdeck.core.errors import Invalid
from quarterdeck.hosts import commands
from quarterdeck.hosts.drafts import HostDraft
from quarterdeck.hosts.models import HostKind
from quarterdeck.hosts.ssh import Reason, SshError, SshPool
from quarterdeck.parts import Parts
from tests.hosts.factories import ADA, Api, Browser, Node
from tests.sshd import ROOT, SshServer, StartSshd, make_key, run


@dataclass(frozen=True)
class Authority:
    """Signs keys for people; ``public`` is what hosts trust."""

    folder: Path

    @property
    def public(self) -> Path:
        return self.folder / "ca.pub"

    def signed(self, name: str, *options: str) -> tuple[str, str]:
        """Make a key and return it with its certificate."""
        path = self.folder / name
        key = make_key(path)
        run("ssh-keygen", "-q", "-s", str(self.folder / "ca"), "-I", name, *options, f"{path}.pub")
        return key, (self.folder / f"{name}-cert.pub").read_text()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    make_key(tmp_path / "ca")
    return Authority(tmp_path)


@pytest.fixture
def server(sshd: StartSshd, authority: Authority) -> SshServer:
    """A server that knows no key of anybody, only the authority."""
    return sshd(TrustedUserCAKeys=str(authority.public), AuthorizedKeysFile="none")


async def signs_in(pool: SshPool, server: SshServer, key: str, certificate: str = "") -> bool:
    async with pool.session(server.target(private_key=key, certificate=certificate)) as connection:
        done = await connection.run("echo in", encoding="utf-8", check=True)
    return done.stdout == "in\n"


async def test_signed_key_signs_in_where_only_the_authority_is_known(
    pool: SshPool, server: SshServer, authority: Authority
) -> None:
    key, certificate = authority.signed("mine", "-n", ROOT)
    assert await signs_in(pool, server, key, certificate)


async def test_key_alone_is_not_let_in_there(pool: SshPool, server: SshServer, authority: Authority) -> None:
    key, _ = authority.signed("mine", "-n", ROOT)
    with pytest.raises(SshError) as caught:
        await signs_in(pool, server, key)
    assert caught.value.reason is Reason.AUTH


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-n", ROOT, "-V", "20200101:20200102"), "certificate expired"),
        (("-n", "somebody"), "certificate principal mismatch"),
    ],
)
async def test_refused_certificate_says_why(
    pool: SshPool, server: SshServer, authority: Authority, options: tuple[str, ...], words: str
) -> None:
    key, certificate = authority.signed("mine", *options)
    with pytest.raises(SshError, match=words):
        await signs_in(pool, server, key, certificate)


def test_host_with_a_certificate_is_well_and_gives_none_of_it_back(
    node: Node, server: SshServer, authority: Authority, api_as: Callable[[str], Api]
) -> None:
    key, certificate = authority.signed("mine", "-n", ROOT)
    body = {
        "name": "web1",
        "address": "127.0.0.1",
        "port": server.port,
        "username": ROOT,
        "private_key": key,
        "certificate": certificate,
        "host_key": server.host_key,
    }
    answer = api_as("ada")("POST", "/hosts", body)
    assert answer.status_code == 201
    assert told(answer)["stored_secrets"] == ["certificate", "private_key"]
    assert node.hosts.test_host(ADA, "web1").ok
    assert certificate.split()[1].encode() not in answer.data + node.everything_stored()


def told(answer: TestResponse) -> dict[str, Any]:  # Any: JSON
    body: dict[str, Any] = answer.get_json()
    return body


def draft(**secrets: str) -> HostDraft:
    return HostDraft("web1", HostKind.SSH, "127.0.0.1", 9, "ops", secrets=secrets)


def refusal(node: Node, **secrets: str) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        node.hosts.add_host(ADA, draft(**secrets))
    return caught.value.fields


def test_what_is_no_certificate_of_the_key_is_refused(node: Node, authority: Authority) -> None:
    key, _ = authority.signed("mine")
    _, other = authority.signed("other")
    _, of_host = authority.signed("host", "-h")
    _, expired = authority.signed("old", "-V", "20200101:20200102")
    for text, words in {
        other: "belongs to another key",
        of_host: "certificate for a host",
        expired: "has expired",
        authority.public.read_text(): "can't be read as a certificate",
        "ssh-ed25519-cert-v01@openssh.com AAAA": "can't be read as a certificate",
    }.items():
        assert words in refusal(node, private_key=key, certificate=text)["certificate"]


def test_certificate_without_a_key_is_refused(node: Node, authority: Authority) -> None:
    _, certificate = authority.signed("mine")
    assert "no private key" in refusal(node, certificate=certificate)["certificate"]


def test_certificate_given_later_must_fit_the_key_that_is_kept(
    node: Node, authority: Authority, api_as: Callable[[str], Api]
) -> None:
    key, certificate = authority.signed("mine")
    _, other = authority.signed("other")
    node.hosts.add_host(ADA, draft(private_key=key))
    api = api_as("ada")
    refused = api("PATCH", "/hosts/web1", {"certificate": other})
    assert (refused.status_code, list(told(refused)["errors"])) == (422, ["certificate"])
    kept = api("PATCH", "/hosts/web1", {"certificate": certificate})
    assert told(kept)["stored_secrets"] == ["certificate", "private_key"]


def test_new_key_drops_the_certificate_of_the_old_one(
    node: Node, authority: Authority, api_as: Callable[[str], Api]
) -> None:
    key, certificate = authority.signed("mine")
    node.hosts.add_host(ADA, draft(private_key=key, certificate=certificate))
    changed = api_as("ada")("PATCH", "/hosts/web1", {"private_key": make_key(authority.folder / "new")})
    assert told(changed)["stored_secrets"] == ["private_key"]


def test_form_takes_a_certificate_and_the_page_says_that_it_is_kept(
    node: Node, authority: Authority, as_: Callable[[str], Browser]
) -> None:
    key, certificate = authority.signed("mine")
    ada = as_("ada")
    fields = {"name": "web1", "address": "127.0.0.1", "port": "9", "username": "ops", "private_key": key}
    wrong = ada.post("/hosts/new?kind=ssh", **fields, certificate="none")
    assert (wrong.status_code, 'href="#field-certificate"' in wrong.text) == (422, True)
    assert ada.post("/hosts/new?kind=ssh", **fields, certificate=certificate).status_code == 303
    assert "a stored private key and its certificate" in ada.get("/hosts/web1").text
    assert certificate.split()[1] not in ada.get("/hosts/web1/edit").text


def test_command_line_reads_it_from_a_file(tmp_path: Path, authority: Authority) -> None:
    authority.signed("mine")
    node = Parts(Settings(home=tmp_path / "home", ssh_connect_seconds=1))
    place = ("web1", "--address", "127.0.0.1", "--port", "9", "--user", "ops")
    files = ("--key-file", str(tmp_path / "mine"), "--certificate-file", str(tmp_path / "mine-cert.pub"))
    done = CliRunner().invoke(commands.host, ["add", *place, *files], obj=node)
    node.history.close()
    node.db.close()
    assert done.exit_code == 0, done.output
    assert "secrets    certificate, private_key" in done.output
