"""File systems that a test can fill up."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.needs import need


@contextmanager
def small_file_system(path: Path, size: str = "12m") -> Iterator[Path]:
    """Mount a tmpfs of its own; undone afterwards. Needs root, which CI is."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"mode=0700,size={size}", "none", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
        need("mounting a tmpfs needs root")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
