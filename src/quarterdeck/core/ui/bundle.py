"""The front-end bundle: names from the manifest, and files that never change under their name."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flask import Response, request
from markupsafe import Markup

from quarterdeck.core.errors import NotFound, QuarterdeckError

PREFIX: Final = "/static/dist/"
FOREVER: Final = "public, max-age=31536000, immutable"
_LICENCES: Final = "third-party.txt"
_NAME: Final = re.compile(r"([a-z][\w-]*\.[0-9A-Z]{8}\.(js|css|svg)|third-party\.txt)\Z")
_TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_TWINS: Final = (("br", ".br"), ("gzip", ".gz"))


class BundleMissing(QuarterdeckError):
    """The bundle was never built; the message says how to build it."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What build.mjs made: each file under its hashed name, the files of a module, the sprite of an icon."""

    files: dict[str, str]
    modules: dict[str, list[str]]
    icons: dict[str, str]
    contents: dict[str, bytes] = field(repr=False)
    """Held in memory (half a megabyte): a build under a running master takes nothing from its pages."""

    def url(self, name: str) -> str:
        """Return the address of ``app.css``; KeyError for a name that is not in the bundle."""
        return PREFIX + self.files[name]

    def icon_url(self, name: str) -> str:
        """Return the address of an icon within its sprite; one that was never bundled stays invisible."""
        return f"{self.url(self.icons.get(name, 'icons.svg'))}#{name}"

    def tags(self, module: str) -> Markup:
        """Return the link and script elements of a capability's bundle or of one of its files."""
        lines = [self._tag(name) for name in self.modules[module]]
        return Markup("\n").join(lines)

    def _tag(self, name: str) -> Markup:
        if name.endswith(".css"):
            return Markup('<link rel="stylesheet" href="{}">').format(self.url(name))
        return Markup('<script type="module" src="{}"></script>').format(self.url(name))

    def answer(self, name: str) -> Response:
        """Answer one file of the bundle, compressed where the client takes it. Raises NotFound."""
        if not _NAME.match(name) or name not in self.contents:
            raise NotFound("There is no such file in the bundle; reload the page to get the current one.")
        encoding, content = self._twin(name)
        response = Response(content, content_type=_TYPES[name.rpartition(".")[2]])
        response.headers["Cache-Control"] = FOREVER if name != _LICENCES else "public, max-age=3600"
        response.headers["Vary"] = "Accept-Encoding"
        if encoding:
            response.headers["Content-Encoding"] = encoding
        return response

    def _twin(self, name: str) -> tuple[str, bytes]:
        for encoding, ending in _TWINS:
            if request.accept_encodings[encoding] > 0 and name + ending in self.contents:
                return encoding, self.contents[name + ending]
        return "", self.contents[name]


def load_bundle(folder: Path) -> Bundle:
    """Read the manifest; raises BundleMissing when the bundle was never built."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleMissing("The front-end bundle is missing; run `make setup` to build it.") from error
    contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return Bundle(manifest["files"], manifest["modules"], manifest["icons"], contents)
