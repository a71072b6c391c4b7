"""The JSON API of runs as a program calls it: what the command line speaks to a running master."""

from typing import TypedDict

from quarterdeck.core.api_client import ApiClient, Json, step
from quarterdeck.core.ids import new_id
from quarterdeck.tasks.states import RunState

__all__ = ["Json", "RunsClient"]


class _Host(TypedDict):
    """What is printed of a host, at least."""

    name: str
    state: RunState
    message: str
    exit_status: int | None
    out_bytes: int
    err_bytes: int
    gone: bool | None


class _Run(TypedDict):
    """What is printed of a run in a list, at least."""

    id: str
    state: RunState
    title: str
    actor: str
    created_at: str
    targets: str
    host_count: int


class _WholeRun(_Run):
    hosts: list[_Host]


class RunsClient:
    """Starts, reads and cancels runs; raises the same errors as the service itself would."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def start(self, body: Json) -> Json:
        """Start a run; with a key of its own, so that a cut connection can't start it twice."""
        return self._run(self._client.send("POST", "/api/v1/runs", body, key=new_id()))

    def show(self, run_id: str, *, wait_seconds: float = 0) -> Json:
        return self._run(self._client.get(_path(run_id), wait=wait_seconds))

    def page(self, **filters: str | int) -> Json:
        given = {name: value for name, value in filters.items() if value}
        page = self._client.get("/api/v1/runs", **given)
        self._client.read(list[_Run], self._client.part(page, "runs"))
        return page

    def cancel(self, run_id: str) -> Json:
        return self._run(self._client.send("POST", f"{_path(run_id)}/cancel"))

    def output(self, run_id: str, host: str, stream: str, start: int) -> bytes:
        """Return what a stream has from an offset on."""
        return self._client.content(
            f"{_path(run_id)}/output", **{"host": host, "stream": stream, "from": start}
        )

    def _run(self, answer: Json) -> Json:
        """Return a run as it was told, once it is seen to be one."""
        self._client.read(_WholeRun, answer)
        return answer


def _path(run_id: str) -> str:
    return f"/api/v1/runs/{step(run_id)}"
