"""What names, addresses and URLs of hosts may look like: pure rules, applied before any connection.

Each reader returns the normal form or raises ValueError with a message fit for the field. Strict on
purpose: whatever passes can't be an option of a program, leave its field, or forge a line.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from quarterdeck.core.config import LOOPBACK_NAMES

RESERVED_NAMES: Final = frozenset(
    {"new", "import", "invitations", "silences", "rows", "wall", "compare", "alerts", "rules"}
)
"""Words that are pages of their own under /hosts or /fleet."""
LONGEST_BASE: Final = 500

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_TAG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,39}\Z")
_USERNAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}\Z")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\Z")
_URL: Final = re.compile(r"[A-Za-z0-9._~:/\[\]@!$&()*+,;=-]+\Z")


def read_name(text: str) -> str:
    """Return a host's or base's name."""
    if not _NAME.match(text):
        raise ValueError(
            "Use 1 to 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit."
        )
    if text.lower() in RESERVED_NAMES:
        raise ValueError(f"“{text}” is the address of a page of Quarterdeck; choose another name.")
    return text


def read_tag(text: str) -> str:
    """Return a tag."""
    if not _TAG.match(text):
        raise ValueError(
            f"The tag {text[:40]!r} can't be used: 1 to 40 letters, digits, dots, dashes, colons and "
            "underscores, beginning with a letter or digit."
        )
    return text


def read_username(text: str) -> str:
    """Return the name to sign in with."""
    if not text:
        raise ValueError("Name the account to sign in with, for example root.")
    if not _USERNAME.match(text):
        raise ValueError(
            "Use letters, digits, dots, dashes and underscores; it can't begin with a dash and has no spaces."
        )
    return text


def read_address(text: str) -> str:
    """Return a host name, an IPv4 or an IPv6 address, in lower case."""
    if not text:
        raise ValueError("Give a host name or an IP address.")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if bare.count(":") == 1:
        raise ValueError("Leave the port out of the address; it has a field of its own, or stands in a URL.")
    if ":" in bare:
        return _ipv6(bare)
    if re.fullmatch(r"[0-9.]+", bare):
        return _ipv4(bare)
    labels = bare.removesuffix(".").split(".")
    if len(bare) > 253 or not all(_LABEL.match(label) for label in labels):
        raise ValueError(
            "This is neither a host name nor an IP address, such as web1.example.org or 10.0.0.5."
        )
    return bare.lower()


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except AddressValueError as error:
        raise ValueError("This is not an IPv4 address, such as 10.0.0.5.") from error


def _ipv6(text: str) -> str:
    if "%" in text:  # a zone is the name of an interface of this machine, and no part of an address
        raise ValueError("Leave out the zone (%…) of the IPv6 address.")
    try:
        return str(IPv6Address(text))
    except AddressValueError as error:
        raise ValueError("This is not an IPv6 address, such as 2001:db8::1.") from error


def read_port(number: int, default: int) -> int:
    """Return the port, or the default where none (0) is given."""
    if not 0 <= number <= 65535:
        raise ValueError("Use a port from 1 to 65535.")
    return number or default


def read_worker_address(text: str, port: int, default_port: int) -> tuple[str, str, int]:
    """Return scheme, address and port of a worker given as a host or as an http(s) URL."""
    if "://" not in text:
        address = read_address(text)
        scheme = "http" if is_loopback(address) else "https"
        return scheme, address, read_port(port, default_port)
    parts = split_url(text)
    if parts.path not in ("", "/"):
        raise ValueError("Give the worker's address without a path, such as https://w1.example.org:5001.")
    if is_open_to_listeners(parts):
        raise ValueError("Use https; a worker over plain http is accepted on this machine's loopback only.")
    return parts.scheme, parts.address, read_port(parts.port or port, default_port)


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a checked URL; the port is 0 when none is given."""

    scheme: str
    address: str
    port: int
    path: str


def split_url(text: str) -> Url:
    """Take an http(s) URL apart."""
    if not _URL.match(text):
        raise ValueError("This address has characters that don't belong into one.")
    try:
        parts = urlsplit(text)
        port = parts.port or 0
    except ValueError as error:
        raise ValueError("This is not an address such as https://api.example.org.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("Use an address that begins with https://, such as https://api.example.org.")
    if "@" in parts.netloc:
        raise ValueError("Leave name and password out of the address; the token has its own field.")
    address = read_address(parts.hostname)
    return Url(parts.scheme, address, port, parts.path)


def is_open_to_listeners(url: Url) -> bool:
    """Tell whether a secret sent there could be read on the way."""
    return url.scheme == "http" and not is_loopback(url.address)


def read_base_url(text: str, *, with_bearer: bool) -> str:
    """Return the normal form of an API base: scheme, host and path without a slash at the end."""
    if len(text) > LONGEST_BASE:
        raise ValueError(f"At most {LONGEST_BASE} characters are accepted.")
    parts = split_url(text)
    if with_bearer and is_open_to_listeners(parts):
        raise ValueError("Use https: over plain http the bearer could be read on the way.")
    if has_dot_segments(parts.path):
        raise ValueError("Leave out “.” and “..” of the path.")
    host = f"[{parts.address}]" if ":" in parts.address else parts.address
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"


def has_dot_segments(path: str) -> bool:
    """Tell whether a path could climb out of its base, plainly or encoded."""
    plain = path.lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace("\\", "/")
    return any(segment in (".", "..") for segment in plain.split("/"))


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine's own, by its text alone."""
    if address in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
