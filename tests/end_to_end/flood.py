"""Ten thousand bad attempts at the doors of a master: by bare sockets, since they share the machine."""

import asyncio
import base64
import itertools
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

FORGED: Final = "203.0.113."
"""What the guessers claim in X-Forwarded-For; no proxy is trusted, so it must appear nowhere."""
BEARERS: Final = 4_200
"""Each from an address of its own: more than a limit remembers."""
_AT_ONCE: Final = 24
_FRAMES_OF_ONE: Final = 20


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


class Line:
    """A connection from an address of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self.reader, self.writer, self._port = reader, writer, port

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: str = ""
    ) -> Answer:
        given = {
            "Host": f"127.0.0.1:{self._port}",
            "X-Forwarded-For": f"{FORGED}{secrets.randbelow(256)}",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
        return await self._answer()

    async def _answer(self) -> Answer:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        size = int(headers.get("content-length", 0))
        return Answer(int(lines[0].split()[1]), headers, (await self.reader.readexactly(size)).decode())


@dataclass
class Flood:
    """Knocks at every door of the master at a port; ``statuses`` has what each door answered."""

    port: int
    cookie: str
    """Of somebody signed in, whose own socket sends garbage."""
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    lines_opened: int = 0

    async def run(self) -> None:
        """Make all attempts, so many at once."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(attempts: Awaitable[None]) -> None:
            async with room:
                await attempts

        kinds = [
            self._repeat(BEARERS, 1, self._bad_bearer),
            self._repeat(1_000, 20, self._bad_jwt),
            self._repeat(1_800, 20, self._bad_refresh),
            self._repeat(400, 20, self._bad_sign_in),
            self._repeat(400, 20, self._bad_api_sign_in),
            self._repeat(600, 20, self._provider_start),
            self._repeat(300, 20, self._provider_callback),
            self._repeat(500, 1, self._bad_handshake),
            self._repeat(800, _FRAMES_OF_ONE, self._garbage),
        ]
        mixed = [each for row in itertools.zip_longest(*kinds) for each in row if each is not None]
        await asyncio.gather(*map(one, mixed))

    @property
    def attempts(self) -> int:
        return sum(counter.total() for counter in self.statuses.values())

    def _repeat(
        self, number: int, of_one: int, knock: Callable[[Line, int], Awaitable[None]]
    ) -> Iterator[Awaitable[None]]:
        """Yield what knocks so often in all, ``of_one`` from the same address."""

        async def from_one_address() -> None:
            async with self._line() as line:
                await knock(line, of_one)

        return (from_one_address() for _ in range(number // of_one))

    @asynccontextmanager
    async def _line(self) -> AsyncIterator[Line]:
        self.lines_opened += 1
        number = self.lines_opened
        local = f"127.{1 + (number >> 14)}.{number >> 7 & 127}.{1 + (number & 127)}"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(local, 0))
        try:
            yield Line(reader, writer, self.port)
        finally:
            writer.transport.abort()

    def _note(self, door: str, status: int) -> None:
        self.statuses.setdefault(door, Counter())[status] += 1

    async def _bad_bearer(self, line: Line, times: int) -> None:
        for _ in range(times):
            bearer = {"Authorization": f"Bearer qd_{secrets.token_hex(20)}"}
            self._note("bearer", (await line.ask("GET", "/api/v1/me", bearer)).status)

    async def _bad_jwt(self, line: Line, times: int) -> None:
        for number in range(times):
            alg = ("none", "HS256", "RS256")[number % 3]
            claims = {"iss": "quarterdeck", "aud": "quarterdeck-api", "sid": secrets.token_hex(16)}
            signature = "" if alg == "none" else secrets.token_urlsafe(32)
            bearer = f"{_encoded({'alg': alg, 'typ': 'at+jwt'})}.{_encoded(claims)}.{signature}"
            answer = await line.ask("GET", "/api/v1/me", {"Authorization": f"Bearer {bearer}"})
            self._note("jwt", answer.status)

    async def _bad_refresh(self, line: Line, times: int) -> None:
        for number in range(times):
            made_up = f"qdr_{secrets.token_hex(16)}.{secrets.token_hex(16)}.{secrets.token_hex(32)}"
            body = {"grant_type": "refresh_token", "refresh_token": made_up}
            path = "/api/v1/auth/token"
            if number % 10 == 9:
                path = "/api/v1/auth/revoke"
                del body["grant_type"]
            self._note("refresh", await self._json(line, path, body))

    async def _bad_api_sign_in(self, line: Line, times: int) -> None:
        for _ in range(times):
            body = {"grant_type": "password", "name": f"m{secrets.token_hex(4)}", "password": "x" * 2_000}
            self._note("API sign-in", await self._json(line, "/api/v1/auth/token", body))

    async def _json(self, line: Line, path: str, body: dict[str, str]) -> int:
        answer = await line.ask("POST", path, {"Content-Type": "application/json"}, json.dumps(body))
        return answer.status

    async def _bad_sign_in(self, line: Line, times: int) -> None:
        page = await line.ask("GET", "/sign-in")
        token = page.body.partition('name="csrf_token" value="')[2].partition('"')[0]
        headers = {
            "Cookie": page.headers["set-cookie"].partition(";")[0],
            "Origin": f"http://127.0.0.1:{self.port}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        for _ in range(times):
            form = {"csrf_token": token, "name": f"m{secrets.token_hex(4)}", "password": "wrong " * 3}
            answer = await line.ask("POST", "/sign-in", headers, urlencode(form))
            self._note("sign-in", answer.status)

    async def _provider_start(self, line: Line, times: int) -> None:
        for _ in range(times):
            self._note("provider start", (await line.ask("GET", "/sign-in/with/company?next=/hosts")).status)

    async def _provider_callback(self, line: Line, times: int) -> None:
        for _ in range(times):
            query = urlencode({"code": secrets.token_hex(8), "state": secrets.token_hex(8)})
            answer = await line.ask(
                "GET", f"/sign-in/with/company/callback?{query}", {"Cookie": "qd_flow=bad"}
            )
            self._note("provider callback", answer.status)

    async def _bad_handshake(self, line: Line, _times: int) -> None:
        odd = secrets.randbelow(3)
        headers = {
            "Cookie": f"quarterdeck_session={secrets.token_hex(16)}" if odd else self.cookie,
            "Origin": f"http://127.0.0.1:{self.port}" if odd else "https://elsewhere.example",
            "Authorization": f"Bearer {secrets.token_hex(16)}" if odd == 2 else "",
        }
        path = "/api/v1/hosts/line" if odd == 2 else "/socket.io/?EIO=4&transport=websocket"
        answer = await line.ask("GET", path, _upgrade() | headers)
        self._note("handshake", answer.status)

    async def _garbage(self, line: Line, times: int) -> None:
        """Open a good socket and send what no client does, until the master has enough of it."""
        headers = {"Cookie": self.cookie, "Origin": f"http://127.0.0.1:{self.port}"}
        answer = await line.ask("GET", "/socket.io/?EIO=4&transport=websocket", _upgrade() | headers)
        for number in range(times):
            line.writer.write(_GARBAGE[number % len(_GARBAGE)])
            self._note("garbage", answer.status)
        try:
            await asyncio.wait_for(line.reader.read(), 0.2)
        except (TimeoutError, ConnectionError):
            return


def _upgrade() -> dict[str, str]:
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
    }


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _frame(text: str, opcode: int = 1) -> bytes:
    """Return a masked frame (RFC 6455, 5.2); a mask of zeros leaves the text as it is."""
    content = text.encode()
    head = bytes([0x80 | opcode])
    if len(content) < 126:
        return head + bytes([0x80 | len(content)]) + bytes(4) + content
    return head + bytes([0x80 | 126]) + len(content).to_bytes(2, "big") + bytes(4) + content


_GARBAGE: Final = (
    _frame("40/console,"),
    _frame('42/console,["join",{"room":["a"]}]'),
    _frame('42/console,["join"' + "," * 30_000),
    _frame("9999{{{{"),
    _frame("\x00" * 100, opcode=2),
    _frame('42/nowhere,["' + "x" * 60_000 + '"]'),
    _frame("45-9" + "9" * 50 + "-/console,"),
    _frame("[" * 60_000),
    _frame("", opcode=3),
)
