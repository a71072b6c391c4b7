"""Waiting for a file's lock, within a limit."""

import fcntl
import threading
import time
from typing import Final

LOCK_SECONDS: Final = 10.0


def wait_for_lock(descriptor: int, mode: int) -> None:
    """Take the lock, also when a stopped process sits on it: then BlockingIOError says so in time."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                reason = f"another process has held it for {LOCK_SECONDS:g} s"
                raise BlockingIOError(error.errno, reason) from error
            threading.Event().wait(0.0003)
