import asyncio
import base64
import http.client
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import uvloop

from quarterdeck.core.pinning import WrongCertificate, read_pin, tls_context
from tests.certificates import Certificate, TlsProxy, make_certificate, tls_proxy

PIN = "ab" * 32


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path / "deck.pem")


@pytest.fixture
def proxy(certificate: Certificate) -> Iterator[TlsProxy]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with tls_proxy(server.server_port, certificate) as proxy:
            yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(proxy: TlsProxy, pin: str) -> bytes:
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=10, context=tls_context(pin))
    try:
        connection.request("GET", "/", headers={"Authorization": "Bearer secret"})
        return connection.getresponse().read()
    finally:
        connection.close()


async def ask_asynchronously(proxy: TlsProxy, pin: str) -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", proxy.port, ssl=tls_context(pin), server_hostname="127.0.0.1"
    )
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "text",
    [
        PIN,
        PIN.upper(),
        f"SHA256:{PIN}",
        f"sha256:{':'.join(['AB'] * 32)}",
        "SHA256:" + base64.b64encode(bytes.fromhex(PIN)).decode(),
        "SHA256:" + base64.b64encode(bytes.fromhex(PIN)).decode().rstrip("="),
    ],
)
def test_fingerprint_is_read_as_programs_print_it(text: str) -> None:
    assert read_pin(text) == PIN


@pytest.mark.parametrize(
    "text", ["", "SHA256:", "ab" * 31, "zz" * 32, "MD5:" + "ab" * 16, PIN + "ab", "ü" * 64]
)
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fingerprint of a certificate"):
        read_pin(text)


def test_pinned_certificate_is_accepted_although_nobody_vouches_for_it(
    proxy: TlsProxy, certificate: Certificate
) -> None:
    assert ask(proxy, certificate.fingerprint) == b"ok"


def test_any_other_certificate_is_refused_before_anything_is_sent(proxy: TlsProxy) -> None:
    with pytest.raises(WrongCertificate) as refusal:
        ask(proxy, PIN)
    assert refusal.value.shown == proxy.certificate.fingerprint
    assert bytes(proxy.received) == b""


def test_without_a_pin_an_authority_has_to_vouch_for_it(proxy: TlsProxy) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(proxy, "")


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_pin_holds_on_either_event_loop(proxy: TlsProxy, factory: object) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]  # either makes a loop
        answer = runner.run(ask_asynchronously(proxy, proxy.certificate.fingerprint))
        assert answer.endswith(b"ok")
        sent = len(proxy.received)
        with pytest.raises(WrongCertificate):
            runner.run(ask_asynchronously(proxy, PIN))
        assert len(proxy.received) == sent
