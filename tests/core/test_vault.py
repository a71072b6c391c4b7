import pytest

from quarterdeck.core.errors import Busy
from quarterdeck.core.vault import Vault

KEY = bytes(range(32))


def test_a_sealed_secret_opens_again() -> None:
    vault = Vault(KEY)
    sealed = vault.seal("pässword", "host:db-1")
    assert vault.open(sealed, "host:db-1") == "pässword"
    assert b"ssword" not in sealed
    assert sealed != vault.seal("pässword", "host:db-1")


def test_a_secret_is_bound_to_its_purpose_its_key_and_its_bytes() -> None:
    sealed = Vault(KEY).seal("password", "host:db-1")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for vault, content, purpose in [
        (Vault(KEY), sealed, "host:db-2"),
        (Vault(bytes(32)), sealed, "host:db-1"),
        (Vault(KEY), changed, "host:db-1"),
        (Vault(KEY), sealed[:20], "host:db-1"),
        (Vault(KEY), b"", "host:db-1"),
    ]:
        with pytest.raises(Busy, match=r"keys/secret\.key") as refused:
            vault.open(content, purpose)
        assert "password" not in refused.value.message
