"""Self-signed certificates, and a proxy that speaks TLS in front of a plain server."""

import asyncio
import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key in one file."""

    path: Path
    fingerprint: str

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


def make_certificate(path: Path) -> Certificate:
    """Make a certificate for 127.0.0.1 that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deck")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(pem) + private)
    return Certificate(path, hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest())


@dataclass
class TlsProxy:
    """Forwards to a port of this machine; ``show`` changes the certificate."""

    target: int
    certificate: Certificate
    port: int = 0
    received: bytearray = field(default_factory=bytearray)
    """All that clients sent, decrypted."""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def show(self, certificate: Certificate) -> None:
        """Show another certificate, and cut what is open."""
        asyncio.run_coroutine_threadsafe(self._listen(certificate), self._loop).result(5)

    async def _listen(self, certificate: Certificate) -> None:
        self.certificate = certificate
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
        self._server = await asyncio.start_server(
            self._forward, "127.0.0.1", self.port, ssl=certificate.context()
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, inner_writer}
        await asyncio.gather(
            self._pump(reader, inner_writer, self.received), self._pump(inner_reader, writer, bytearray())
        )
        self._writers -= {writer, inner_writer}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                seen += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            if not writer.is_closing():
                writer.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=5) if others else None


@contextlib.contextmanager
def tls_proxy(target: int, certificate: Certificate) -> Iterator[TlsProxy]:
    proxy = TlsProxy(target, certificate)
    thread = threading.Thread(target=proxy._loop.run_forever)
    thread.start()
    try:
        proxy.show(certificate)
        yield proxy
        asyncio.run_coroutine_threadsafe(proxy._end(), proxy._loop).result(10)
    finally:
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        thread.join()
        proxy._loop.close()
