"""The JSON API of runs as a program calls it: what the command line speaks to a running master."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from quarterdeck.core.errors import Conflict, Forbidden, Invalid, NotFound, QuarterdeckError, Unreachable

Json = dict[str, Any]  # Any: JSON
_PATIENCE_SECONDS = 75.0
"""Longer than the longest wait of the API."""
_ERRORS: dict[int, type[QuarterdeckError]] = {403: Forbidden, 404: NotFound, 409: Conflict}


class RunsClient:
    """Calls one master; raises the same errors as the service itself would."""

    def __init__(self, server: str, token: str) -> None:
        self._server = server.rstrip("/")
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        # No proxy of the environment: the token goes to the master and to nobody else.
        self._http = httpx.Client(
            base_url=self._server, headers=headers, timeout=_PATIENCE_SECONDS, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._http.close()

    def start(self, body: Json) -> Json:
        return self._json("POST", "/api/v1/runs", json=body)

    def show(self, run_id: str, *, wait_seconds: float = 0) -> Json:
        return self._json("GET", f"/api/v1/runs/{run_id}", params={"wait": wait_seconds})

    def page(self, **filters: str | int) -> Json:
        given = {name: value for name, value in filters.items() if value}
        return self._json("GET", "/api/v1/runs", params=given)

    def cancel(self, run_id: str) -> Json:
        return self._json("POST", f"/api/v1/runs/{run_id}/cancel")

    def output(self, run_id: str, host: str, stream: str, start: int) -> bytes:
        """Return what a stream has from an offset on."""
        params: dict[str, str | int] = {"host": host, "stream": stream, "from": start}
        return self._call("GET", f"/api/v1/runs/{run_id}/output", params=params).content

    def _json(self, method: str, path: str, **more: Any) -> Json:  # Any: handed on to httpx
        answer: Json = self._call(method, path, **more).json()
        return answer

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:  # Any: handed on to httpx
        try:
            answer = self._http.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(
                f"No master answers at {self._server}. Start one (`quarterdeck up`), or name it by --server."
            ) from error
        if answer.is_success:
            return answer
        raise _error_of(answer, self._server)


def _error_of(answer: httpx.Response, server: str) -> QuarterdeckError:
    try:
        problem = answer.json()
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return Unreachable(f"{server} answered {answer.status_code}, not as a master of Quarterdeck does.")
    if answer.status_code == 422:
        return Invalid(problem.get("errors") or {"input": detail})
    kind = _ERRORS.get(answer.status_code, QuarterdeckError)
    return kind(detail, **{key: problem[key] for key in ("duplicate_of", "started_by") if key in problem})


def connect(home: Path, default_server: str, server: str, token_file: Path | None) -> RunsClient:
    """Return a client of the master that is named, or of the home's own; raises Unreachable, Invalid."""
    if token_file is not None:
        token = token_file.read_text(encoding="utf-8").strip()
        if not (token.isascii() and token.isprintable() and token and " " not in token):
            raise Invalid({"token-file": f"{token_file} holds no token."})
        return RunsClient(server or default_server, token)
    kept = home / "keys" / "cli-token"
    if not kept.exists():
        raise Unreachable(
            f"No master has been started in {home}. Start one with `quarterdeck up`, or name another with "
            "--server and --token-file."
        )
    return RunsClient(server or default_server, bytes.fromhex(kept.read_text(encoding="ascii").strip()).hex())
