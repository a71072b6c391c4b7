"""What the example repository holds: one file of each kind that the pages treat in its own way."""

import struct
import zlib
from typing import Final

_FILE, _EXECUTABLE, _LINK = 0o100644, 0o100755, 0o120000

_README = """\
# Example

Quarterdeck made this repository on its first start, so that you can try how files are changed. It is a bare
git repository in the folder `files/example.git` of Quarterdeck's home. Nothing reads these files: change or
delete what you like. When you remove the place or the folder, it does not come back.

## Try it

1. Open `shop/values.yaml` and choose *Update*. That makes a branch for you; `main` stays as it is.
2. Change a number. What you type is kept as a draft, also when you close the window.
3. Look at the difference, write a message and commit.
4. Merge your branch into `main`, or discard it.

To see a conflict, let two people change `shop/values.yaml`, each on a branch, and merge both.

## What is here

| File | To see |
|---|---|
| `nginx/shop.conf` | the configuration of a web server |
| `nginx/enabled.conf` | a symbolic link: shown, not edited |
| `shop/values.yaml`, `shop/settings.json` | the configuration of an application; the first has two commits |
| `scripts/check_disk.py` | a program in Python |
| `scripts/reload.sh` | an executable script: it stays executable |
| `windows/hosts.ini` | line ends of Windows (CRLF), which are kept |
| `legacy/greeting.txt` | text in Latin-1, not UTF-8 |
| `images/dot.png` | a picture: can be downloaded, not edited |

With git: `git clone <home>/files/example.git`. The tag `v1.0` is the first commit.
"""

_NGINX = """\
server {
    listen 80;
    server_name shop.example.org;

    access_log /var/log/nginx/shop.access.log;

    location / {
        proxy_pass http://127.0.0.1:8080;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_read_timeout 30s;
    }

    location /static/ {
        root /srv/shop;
        expires 7d;
    }
}
"""

_VALUES = """\
# How the shop runs.
replicas: 2

image:
  repository: registry.example.org/shop
  tag: "1.4.2"

resources:
  memory: 256Mi
  cpu: 250m

features:
  reviews: true
  recommendations: false
"""

_SETTINGS = """\
{
  "name": "shop",
  "currency": "EUR",
  "languages": ["en", "de"],
  "mail": {
    "host": "mail.example.org",
    "port": 587,
    "from": "shop@example.org"
  }
}
"""

_CHECK_DISK = '''\
"""Say which file systems are nearly full."""

import shutil
import sys

LIMIT = 0.9


def main(folders: list[str]) -> int:
    """Print each folder's use; return 1 when one is over the limit."""
    is_full = False
    for folder in folders:
        usage = shutil.disk_usage(folder)
        share = usage.used / usage.total
        is_full = is_full or share > LIMIT
        print(f"{folder}: {share:.0%} of {usage.total // 2**30} GiB")
    return int(is_full)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["/"]))
'''

_RELOAD = """\
#!/bin/sh
# Reload nginx, but only when its configuration is sound.
set -eu
nginx -t
systemctl reload nginx
"""

_HOSTS = "[shop]\r\naddress=192.0.2.10\r\nport=8080\r\n\r\n[mail]\r\naddress=192.0.2.25\r\nport=587\r\n"

_GREETING = "Grüße aus Köln\nÀ bientôt à Genève\n"


def _picture(size: int = 16) -> bytes:
    """Return a PNG of one colour."""
    rows = (b"\0" + b"\x1f\x6f\xeb" * size) * size
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


FIRST: Final = {
    "README.md": (_FILE, _README.encode()),
    "nginx/shop.conf": (_FILE, _NGINX.encode()),
    "nginx/enabled.conf": (_LINK, b"shop.conf"),
    "shop/values.yaml": (_FILE, _VALUES.encode()),
    "shop/settings.json": (_FILE, _SETTINGS.encode()),
    "scripts/check_disk.py": (_FILE, _CHECK_DISK.encode()),
    "scripts/reload.sh": (_EXECUTABLE, _RELOAD.encode()),
    "windows/hosts.ini": (_FILE, _HOSTS.encode()),
    "legacy/greeting.txt": (_FILE, _GREETING.encode("latin-1")),
    "images/dot.png": (_FILE, _picture()),
}
SECOND: Final = {"shop/values.yaml": (_FILE, _VALUES.replace("256Mi", "512Mi").encode())}
