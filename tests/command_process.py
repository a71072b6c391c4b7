"""Quarterdeck commands, one after the other in one process: its start is most of the time that one takes."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Final

Done = subprocess.CompletedProcess[str]
_LIMIT_SECONDS: Final = 60
_COMMANDS_OF_ONE: Final = 60
"""Then comes another process: each command leaves behind what the end of its process would have freed."""


class CommandProcess:
    """Runs commands; safe to use from many threads, but one command waits for the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._left = 0

    def run(self, words: tuple[str, ...], environment: Mapping[str, str], given: str = "") -> Done:
        """Run one command in that environment; returns what a process of its own would have left."""
        with self._lock:
            process = self._ready()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([words, dict(environment), given]) + "\n")
            process.stdin.flush()
            watch = threading.Timer(_LIMIT_SECONDS, process.kill)
            watch.start()
            answer = process.stdout.readline()
            watch.cancel()
        assert answer, f"quarterdeck {' '.join(words)} did not end within {_LIMIT_SECONDS} s"
        return Done(list(words), *json.loads(answer))

    def close(self) -> None:
        """End the process; the next command starts another."""
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate(timeout=_LIMIT_SECONDS)
        self._process = None

    def _ready(self) -> "subprocess.Popen[str]":
        if self._left == 0 or self._process is None or self._process.poll() is not None:
            self.close()
            self._left = _COMMANDS_OF_ONE
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.command_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self._left -= 1
        return self._process


def _serve() -> None:
    from click.testing import CliRunner

    from quarterdeck.cli import main

    orders, answers = sys.stdin, sys.stdout
    for line in orders:
        words, environment, given = json.loads(line)
        os.environ.clear()
        os.environ.update(environment)
        done = CliRunner().invoke(main, words, input=given, prog_name="quarterdeck")
        is_fault = isinstance(done.exception, Exception)
        fault = "".join(traceback.format_exception(done.exception)) if is_fault else ""
        answers.write(json.dumps([done.exit_code, done.stdout, done.stderr + fault]) + "\n")
        answers.flush()
    os._exit(0)  # what commands have left running in this process ends with it


if __name__ == "__main__":
    _serve()
