"""Real repositories for tests, made by the real git, thousands of files at once by ``git fast-import``."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ADA = "Ada Lovelace <ada@example.org>"
FIRST_TIME = 1_700_000_000
"""Each commit of a factory is a minute after the one before, so that hashes are the same each time."""

Files = Mapping[str | bytes, bytes | None]
"""Contents by path; None deletes. A path may begin with a mode: ``"100755:run.sh"``."""


@dataclass(frozen=True)
class Repository:
    """A repository and the real git to look at it with."""

    folder: Path

    def git(self, *arguments: str | bytes, stdin: bytes = b"", fails: bool = False) -> str:
        """Run git in the repository and return what it prints, stripped; raises when it fails, or doesn't."""
        return self.git_bytes(*arguments, stdin=stdin, fails=fails).decode(errors="replace").strip()

    def git_bytes(self, *arguments: str | bytes, stdin: bytes = b"", fails: bool = False) -> bytes:
        answer = run_git(self.folder, *arguments, stdin=stdin)
        assert bool(answer.returncode) == fails, (arguments, answer.stdout, answer.stderr)
        return answer.stdout + answer.stderr if fails else answer.stdout

    @cached_property
    def is_bare(self) -> bool:
        return not (self.folder / ".git").exists()

    @property
    def control(self) -> Path:
        """Where refs and objects lie."""
        return self.folder if self.is_bare else self.folder / ".git"

    def tip(self, branch: str = "main") -> str:
        return self.git("rev-parse", "--verify", f"refs/heads/{branch}")

    def blob(self, path: str | bytes, ref: str = "refs/heads/main") -> bytes:
        """Return a file's bytes as git has them."""
        raw = path.encode() if isinstance(path, str) else path
        return self.git_bytes("cat-file", "blob", ref.encode() + b":" + raw)

    def check(self) -> None:
        """Let git look for the least fault; dangling objects are none."""
        self.git("fsck", "--strict", "--full", "--no-dangling", "--no-progress")

    def commit(
        self, files: Files, branch: str = "main", message: str = "Change", *, author: str = ADA
    ) -> str:
        """Commit on a branch, which is made when absent, and return the commit."""
        return self.commits([files], branch, message, author=author)

    def commits(
        self, steps: Iterable[Files], branch: str = "main", message: str = "Change", *, author: str = ADA
    ) -> str:
        """Make a commit for each step in one go and return the last."""
        ref = f"refs/heads/{branch}"
        known = run_git(self.folder, "rev-parse", "--verify", "--quiet", ref).stdout.decode().strip()
        start = int(self.git("show", "-s", "--format=%ct", known)) + 60 if known else FIRST_TIME
        stream = bytearray()
        for number, files in enumerate(steps):
            parent = known if number == 0 else ""
            stream += _commit_text(ref, files, message, f"{author} {start + 60 * number} +0000", parent)
        self.git("fast-import", "--quiet", "--force", "--done", stdin=bytes(stream) + b"done\n")
        return self.tip(branch)


def run_git(folder: Path, *arguments: str | bytes, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run git as nobody in particular: no settings of this machine, no hooks, no prompt."""
    return subprocess.run(
        ["git", "-c", "gc.auto=0", "-c", "maintenance.auto=false", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        check=False,
        env=environment(),
    )


def environment() -> dict[str, str]:
    """Return an environment in which git gives the same answer on each machine."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ada Lovelace",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada Lovelace",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
        "GIT_AUTHOR_DATE": f"{FIRST_TIME} +0000",
        "GIT_COMMITTER_DATE": f"{FIRST_TIME} +0000",
    }


def make_repository(
    folder: Path, files: Files | None = None, *, bare: bool = True, object_format: str = "sha1"
) -> Repository:
    """Make a repository with one commit of the files on ``main``; without files an empty one."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = ["--bare"] if bare else []
    form = ["--template=", "--initial-branch=main", f"--object-format={object_format}"]
    answer = run_git(folder, "init", "--quiet", *form, *kind, ".")
    assert answer.returncode == 0, answer.stderr
    repository = Repository(folder)
    if files is not None:
        repository.commit(files, message="Begin")
        if not bare:
            repository.git("reset", "--quiet", "--hard")
    return repository


def copy(repository: Repository, folder: Path) -> Repository:
    """Return a copy to change: quicker than to make another."""
    return Repository(Path(shutil.copytree(repository.folder, folder, symlinks=True)))


def many_files(count: int) -> dict[str | bytes, bytes | None]:
    """Return so many small files, ten in a folder, three folders deep; a hundred different contents."""
    return {
        f"services/group-{number // 1000:03d}/app-{number // 10:05d}/values-{number:06d}.yaml": (
            b"name: app-%d\n" % (number % 100)
        )
        for number in range(count)
    }


def clone(repository: Repository, folder: Path) -> Repository:
    """Return a clone with a working tree, to push from."""
    answer = run_git(folder.parent, "clone", "--quiet", str(repository.folder), str(folder))
    assert answer.returncode == 0, answer.stderr
    return Repository(folder)


def _commit_text(ref: str, files: Files, message: str, committer: str, parent: str) -> bytes:
    text = message.encode()
    head = [f"commit {ref}", f"author {committer}", f"committer {committer}", f"data {len(text)}"]
    lines = bytearray("\n".join(head).encode() + b"\n" + text + b"\n")
    if parent:
        lines += f"from {parent}\n".encode()
    for path, content in files.items():
        lines += _change_text(path.encode() if isinstance(path, str) else path, content)
    return bytes(lines + b"\n")


def _change_text(path: bytes, content: bytes | None) -> bytes:
    mode, colon, rest = path.partition(b":")
    if not (colon and mode in (b"100644", b"100755", b"100664", b"120000", b"160000")):
        mode, rest = b"100644", path
    if content is None:
        return b"D " + _quoted(rest) + b"\n"
    if mode == b"160000":
        return b"M 160000 " + content + b" " + _quoted(rest) + b"\n"
    return b"M %b inline %b\ndata %d\n%b\n" % (mode, _quoted(rest), len(content), content)


def _quoted(path: bytes) -> bytes:
    """Return a path as fast-import reads each of them, whatever bytes it holds."""
    return b'"' + b"".join(b"\\%03o" % byte if _is_odd(byte) else bytes([byte]) for byte in path) + b'"'


def _is_odd(byte: int) -> bool:
    return byte < 33 or byte > 126 or byte in b'"\\'
