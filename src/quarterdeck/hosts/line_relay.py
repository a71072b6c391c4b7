"""The command line's way to a worker that dials in: through the master that runs on the same home."""

from pathlib import Path
from typing import Final

import httpx

from quarterdeck.hosts.line_transport import NoLine

READABLE: Final = frozenset(
    {"/health", "/history", "/history/heads", "/history/verify", "/history/witnessed"}
)
"""What may be asked for so; besides these, one entry of a history by its id."""


class RelayTransport(httpx.AsyncBaseTransport):
    """Sends a read to the running master, with the home's own key instead of the worker's bearer."""

    def __init__(self, home: Path, master_url: str) -> None:
        self._key, self._url = home / "keys" / "cli-token", master_url

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET" or not self._key.exists():
            raise NoLine("it dials in, and no master runs here that it could have dialled")
        url = f"{self._url}/api/v1/lines/{request.url.host}{request.url.raw_path.decode('ascii')}"
        token = bytes.fromhex(self._key.read_text(encoding="ascii").strip()).hex()
        async with httpx.AsyncClient(trust_env=False, timeout=_timeout(request)) as client:
            try:
                answer = await client.get(url, headers={"Authorization": f"Bearer {token}"})
            except httpx.ConnectError as error:
                raise NoLine("it dials in, and the master that it dials does not run") from error
        if answer.status_code == httpx.codes.BAD_GATEWAY:
            raise NoLine(_detail(answer))
        headers = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)


def _timeout(request: httpx.Request) -> httpx.Timeout:
    limits: dict[str, float | None] = request.extensions.get("timeout", {})
    seconds = limits.get("read") or 30
    return httpx.Timeout(seconds + 10, connect=4)


def _detail(answer: httpx.Response) -> str:
    """Return why the master could not reach the worker either, without the name before it."""
    try:
        text = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return "the master could not reach it"
    return text.partition(": ")[2].rstrip(".") or text
