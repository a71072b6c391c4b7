"""Names of HTTP headers that the master and its own programs share."""

from typing import Final

VERSION: Final = "Quarterdeck-Version"
"""Tells programs with a token whom they speak to; strangers need not know."""
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
