"""The access matrix of the command line: every verb over --server, with tokens of every kind."""

import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from werkzeug.serving import WSGIRequestHandler, make_server

from quarterdeck.cli import main
from tests.contracts.access_matrix import VERBS, is_let_in
from tests.contracts.matrix_world import World
from tests.contracts.test_command_verbs import REMOTE

CALLERS = (
    "token-read", "token-run", "token-write", "token-admin", "token-of-an-operator", "token-revoked",
    "worker",
)  # fmt: skip
"""The other credentials are refused by the same answer (test_access_matrix.py)."""
GIVEN = "hosts:\n- {name: own, address: 192.0.2.11, username: root}\n"
REFUSALS = ("You may not do this", "not accept the token")


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing of each request."""


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, world.app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_verb_over_a_server_has_its_entry() -> None:
    lines = [line.split() for group in VERBS.values() for line in group]
    assert {name_of(words) for words in lines} == REMOTE


def name_of(words: list[str]) -> str:
    """Return the words of a line that name its verb."""
    return " ".join(words[: 1 if words[0] == "run" else 2])


def test_every_verb_does_what_its_token_may(world: World, url: str, tmp_path: Path) -> None:
    wrong = []
    for name in CALLERS:
        caller, file = world.caller(name), tmp_path / name
        file.touch(0o600)
        file.write_text(caller.bearer.removeprefix("Bearer ") + "\n")
        for need, lines in VERBS.items():
            for line in lines:
                words = ["--server", url, "--token-file", str(file), *line.split()]
                done = CliRunner().invoke(main, words, input=GIVEN, env={"HOME": str(tmp_path)})
                is_refused = any(text in done.output for text in REFUSALS)
                if is_refused is is_let_in(caller, need) or (is_refused and done.exit_code != 1):
                    wrong.append(f"{name}: {line}: {done.exit_code} {click.unstyle(done.output)[:150]}")
    assert wrong == []
