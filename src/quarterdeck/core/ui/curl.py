"""The same as an API call: what a page shows beside a form, for a shell."""

import json
import shlex
from typing import Any


def curl(method: str, url: str, body: Any = None) -> str:  # Any: JSON
    """Return the line that makes a call; the token comes from the shell's ``$TOKEN``."""
    parts = ["curl" if method == "GET" else f"curl -X {method}", '-H "Authorization: Bearer $TOKEN"']
    if body is not None:
        data = json.dumps(body, ensure_ascii=False)
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(data)}"]
    return " \\\n  ".join([*parts, shlex.quote(url)])
