"""The stored secrets of a host: sealed in its row, opened only to connect."""

from collections.abc import Mapping

from quarterdeck.core.errors import Invalid
from quarterdeck.core.vault import Vault
from quarterdeck.hosts import certificates, keys
from quarterdeck.hosts.models import Host, HostKind


def unsealed(vault: Vault, host_id: str, name: str, sealed: bytes | None) -> str:
    """Return a stored secret of a host, or an empty text when there is none."""
    return vault.open(sealed, _purpose(host_id, name)) if sealed is not None else ""


def store(vault: Vault, host: Host, given: Mapping[str, str], forget: frozenset[str]) -> list[str]:
    """Seal what is given anew, drop what is to be forgotten, keep the rest; return the names that changed.

    A new private key without a passphrase drops the old key's, and so it is with its certificate; a new
    passphrase or certificate alone must fit the key that is kept. An SSH host that is left with neither
    key nor password signs in by the agent.
    """
    changed = []
    if "private_key" in given:
        forget |= {"passphrase", "certificate"}
    else:
        _check_alone(vault, host, given)
    for name in forget - set(given):
        if getattr(host, name) is not None:
            setattr(host, name, None)
            changed.append(name)
    for name, plain in given.items():
        setattr(host, name, vault.seal(plain, _purpose(host.id, name)))
        changed.append(name)
    if host.kind == HostKind.SSH and host.private_key is None and host.password is None:
        host.use_agent = True
    return sorted(changed)


def _check_alone(vault: Vault, host: Host, given: Mapping[str, str]) -> None:
    """Raise Invalid when a passphrase or certificate is given that the kept key does not fit."""
    named = [name for name in ("passphrase", "certificate") if given.get(name)]
    if not named:
        return
    key = unsealed(vault, host.id, "private_key", host.private_key)
    if not key:
        raise Invalid({name: f"There is no private key that this {name} could belong to." for name in named})
    kept = unsealed(vault, host.id, "passphrase", host.passphrase)
    passphrase = given.get("passphrase") or kept
    if "passphrase" in named and (fault := keys.private_key_fault(key, passphrase)):
        raise Invalid({"passphrase": fault.message})
    if "certificate" in named and (
        problem := certificates.certificate_problem(given["certificate"], key, passphrase)
    ):
        raise Invalid({"certificate": problem})


def _purpose(host_id: str, name: str) -> str:
    return f"host:{host_id}:{name}"
