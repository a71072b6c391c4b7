"""A Bitbucket Data Center of our own on loopback: REST 1.0 as contracts describe it, over real git objects.

It is strict: a request that the real one may not understand as it is meant (an unknown parameter or member,
a boolean that is not ``true`` or ``false``, a wrong media type, no credential) is noted in ``faults`` and
answered with 400, so that a test that ends with ``assert server.faults == []`` proves each request.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from tests.files.datacenter_calls import ROUTES
from tests.files.datacenter_requests import Asked, Caller, Denied, Misused, Result, caller_of, read_query
from tests.files.git_repository import GitRepository

Kind = Literal["answer", "hang", "cut", "huge", "lost"]


@dataclass
class Broken:
    """What goes wrong at the next requests that fit; ``lost`` does what was asked and then says nothing."""

    fits: str
    """An expression for "METHOD /path?query"."""
    kind: Kind = "answer"
    status: int = 500
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    after: int = 0
    """So many that fit are let through first."""


class DataCenter:
    """One repository of one project at ``url``; ``root`` is the server's own address, without the context."""

    def __init__(
        self, folder: Path, *, context: str = "/bitbucket", project: str = "OPS", slug: str = "config"
    ) -> None:
        self.git = GitRepository(folder)
        self.context, self.project, self.slug = context, project, slug
        self.callers: dict[str, Caller] = {
            "oskars-token": Caller("oskar", "oskar@example.org"),
            "veras-token": Caller("vera", "vera@example.org", can_write=False),
            "nils-token": Caller("nils", "nils@example.org", can_read=False, can_write=False),
            "mailless-token": Caller("robot", ""),
            "project-token": Caller("access-7f31", "", is_person=False),
        }
        self.reviewers = {"ada", "vera"}
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.broken: list[Broken] = []
        self.before: list[tuple[str, Callable[[], object]]] = []
        """Things that happen just before a request that fits is answered: a push in between."""
        self.file_cap, self.page_cap, self.default_limit = 100_000, 1000, 25
        self.extra_paths: list[object] = []
        self.is_archived = False
        self.protected: set[str] = set()
        self.vetoes: list[str] = []
        self.duplicate_status = 400
        self.signs_in_by_page = False
        self.pulls: list[dict[str, Any]] = []
        self.conflict: bool | Literal["broken"] | None = False
        self.released = threading.Event()
        self._lock = threading.RLock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return self.root + self.context

    def calls(self) -> int:
        return len(self.requests)

    def breaks(self, fits: str, **how: Any) -> None:
        self.broken.append(Broken(fits, **how))

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self.git.close()

    def answer(self, asked: Asked) -> Result:
        """Answer one request, after what was planned for it."""
        for plan in [each for each in self.before if re.search(each[0], asked.line)]:
            self.before.remove(plan)
            plan[1]()
        with self._lock:
            try:
                return self._answer(asked)
            except Misused as error:
                self.faults.append(f"{asked.line}: {error}")
                return _error(400, f"unexpected: {error}", "ArgumentValidationException")
            except Denied as error:
                return _error(error.status, error.message, error.name, error.extra)

    def _answer(self, asked: Asked) -> Result:
        if not asked.path.startswith(f"{self.context}/"):
            return Result(raw=b"<!doctype html><title>404 Not Found</title>", status=404, kind="text/html")
        path = asked.path.removeprefix(self.context)
        if self.signs_in_by_page or not path.startswith("/rest/"):
            return Result(raw=b"<!doctype html><title>Log in</title><form>", kind="text/html;charset=UTF-8")
        for method, pattern, query, answer, is_open in ROUTES:
            found = re.fullmatch(pattern, path)
            if method == asked.method and found:
                parts = {
                    name: unquote(part, errors="strict") for name, part in found.groupdict().items() if part
                }
                asked.query = read_query(asked.raw_query, query)
                asked.caller = caller_of(asked, self.callers, is_open=is_open)
                self._find(parts)
                return answer(self, asked, parts)
        raise Misused("no such call")

    def _find(self, parts: Mapping[str, str]) -> None:
        if "key" not in parts:
            return
        if parts["key"].lower() != self.project.lower():
            raise Denied(404, f"Project {parts['key']} does not exist.", "project.NoSuchProjectException")
        if parts["slug"].lower() != self.slug.lower():
            raise Denied(
                404,
                f"Repository {parts['key']}/{parts['slug']} does not exist.",
                "repository.NoSuchRepositoryException",
            )

    def reads(self, asked: Asked) -> Caller:
        """Return who asks, if it may read; a known person without a right is told so with 401."""
        caller = asked.caller
        if caller is None or not caller.can_read:
            raise Denied(401, "You are not permitted to access this resource", "AuthorisationException")
        return caller

    def writes(self, asked: Asked, branch: str = "") -> Caller:
        caller = self.reads(asked)
        if not caller.can_write:
            raise Denied(401, "You are not permitted to access this resource", "AuthorisationException")
        if self.is_archived:
            raise Denied(
                409, "The repository is archived and read-only.", "repository.RepositoryArchivedException"
            )
        if branch in self.protected:
            raise Denied(
                403,
                f"Branch {branch} can only be changed by a pull request.",
                "repository.ref.RefAccessException",
            )
        return caller

    def commit_of(self, ref: str) -> str:
        """Return the commit of a hash, a full ref, a branch or a tag."""
        heads, tags = self.git.refs("heads"), self.git.refs("tags")
        for found in (
            heads.get(ref.removeprefix("refs/heads/")) if ref.startswith("refs/heads/") else None,
            tags.get(ref.removeprefix("refs/tags/")) if ref.startswith("refs/tags/") else None,
            ref if re.fullmatch("[0-9a-f]{40}", ref) and self.git.commit_object(ref) else None,
            heads.get(ref),
            tags.get(ref),
        ):
            if found:
                return found
        raise Denied(
            404, f"Commit '{ref}' does not exist in repository '{self.slug}'.", "commit.NoSuchCommitException"
        )

    def commit_json(self, id_: str) -> dict[str, Any]:
        found = self.git.commit_object(id_)
        assert found is not None
        name, _, address = found.author.decode().partition(" <")
        person = {"name": name, "emailAddress": address.rstrip(">")}
        at = found.commit_time * 1000
        return {
            "id": id_,
            "displayId": id_[:11],
            "author": person,
            "authorTimestamp": at,
            "committer": person,
            "committerTimestamp": at,
            "message": found.message.decode(),
            "parents": [{"id": each.decode(), "displayId": each.decode()[:11]} for each in found.parents],
        }

    def page(self, asked: Asked, values: list[Any], cap: int | None = None) -> Result:
        """Cut a list as asked, and silently to the cap."""
        start = int(asked.query.get("start", "0"))
        limit = min(int(asked.query.get("limit", self.default_limit)), cap or self.page_cap)
        shown = values[start : start + limit]
        is_last = start + limit >= len(values)
        return Result(
            {
                "values": shown,
                "size": len(shown),
                "limit": limit,
                "start": start,
                "isLastPage": is_last,
                "nextPageStart": None if is_last else start + limit,
            }
        )


def _error(status: int, message: str, name: str, extra: Mapping[str, Any] | None = None) -> Result:
    error = {"context": None, "message": message, "exceptionName": f"com.atlassian.bitbucket.{name}"}
    return Result({"errors": [error | dict(extra or {})]}, status=status)


def _handler_of(server: DataCenter) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        data_center = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    data_center: DataCenter
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        path, _, query = self.path.partition("?")
        asked = Asked(
            self.command, path, query, {name.lower(): value for name, value in self.headers.items()}
        )
        asked.body = self.rfile.read(int(length))
        server = self.data_center
        server.requests.append(asked.line)
        broken = self._broken(asked)
        if broken is None:
            self._send(server.answer(asked), asked)
        elif broken.kind == "lost":
            server.answer(asked)
            self.close_connection = True
        else:
            self._break(broken)

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names that http.server looks for

    def _broken(self, asked: Asked) -> Broken | None:
        for broken in self.data_center.broken:
            if re.search(broken.fits, asked.line):
                if broken.after:
                    broken.after -= 1
                    continue
                broken.times -= 1
                if not broken.times:
                    self.data_center.broken.remove(broken)
                return broken
        return None

    def _send(self, result: Result, asked: Asked) -> None:
        body = result.raw if result.raw is not None else b"" if result.value is None else _json(result.value)
        self.send_response(result.status)
        if result.status != 204:
            self.send_header("Content-Type", result.kind)
            self.send_header("Content-Length", str(len(body)))
        if asked.caller is not None:
            self.send_header("X-AUSERNAME", asked.caller.name)
            self.send_header("X-AUSERID", "7")
        self.end_headers()
        self.wfile.write(body)

    def _break(self, broken: Broken) -> None:
        self.close_connection = True
        if broken.kind == "hang":
            self.data_center.released.wait(30)
            return
        self.send_response(broken.status if broken.kind == "answer" else 200)
        for name, value in broken.headers.items():
            self.send_header(name, value)
        lengths = {"answer": len(broken.body), "cut": len(broken.body) + 1000, "huge": 1 << 40}
        self.send_header("Content-Length", str(lengths[broken.kind]))
        self.end_headers()
        try:
            self.wfile.write(broken.body)
            while broken.kind == "huge":
                self.wfile.write(b"x" * 65536)
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@contextmanager
def data_center(folder: Path, **how: Any) -> Iterator[DataCenter]:
    """Serve for a while; the end proves that each request was one that Bitbucket understands."""
    server = DataCenter(folder, **how)
    try:
        yield server
    finally:
        server.close()
    assert server.faults == []
