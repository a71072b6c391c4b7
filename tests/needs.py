"""What a test needs of the machine: where it is missing the test is skipped, but never in CI."""

import os
import shutil

import pytest


def need(missing: str) -> None:
    """Skip, or fail in CI, with what is missing; an empty text means that nothing is."""
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


def missing_sudo() -> str:
    """Return why nothing can be run as somebody else here, or an empty text."""
    if shutil.which("sudo") is None:
        return "sudo is not installed (Debian: sudo)"
    return "only root can make people" if os.geteuid() else ""
