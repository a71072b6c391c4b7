"""What is said when a provider can't be reached."""

from pathlib import Path

import pytest

from quarterdeck.access.providers.faults import Fault
from quarterdeck.access.providers.outgoing import Outgoing
from tests.certificates import make_certificate, tls_proxy
from tests.deck import free_port


async def test_a_provider_that_is_not_there_is_said_to_be() -> None:
    port = free_port()
    with pytest.raises(Fault) as fault:
        await Outgoing().get(f"http://127.0.0.1:{port}/keys?code=hidden", "discovery")
    assert str(fault.value) == f"discovery: no connection to 127.0.0.1:{port}"


async def test_a_certificate_that_nobody_vouches_for_is_said_to_be_the_reason(tmp_path: Path) -> None:
    with tls_proxy(free_port(), make_certificate(tmp_path / "pem")) as proxy, pytest.raises(Fault) as fault:
        await Outgoing().get(f"https://127.0.0.1:{proxy.port}/keys?code=hidden", "discovery")
    expected = f"discovery: the certificate of 127.0.0.1:{proxy.port} is not one that this machine trusts"
    assert str(fault.value) == expected
