"""Looking at one file as it is at a commit: its text, or why that is not shown, and what is known of it."""

from dataclasses import dataclass, replace
from typing import Final

from quarterdeck.access.permissions import judge
from quarterdeck.core.actors import Actor
from quarterdeck.core.errors import TooLarge
from quarterdeck.files.models import PlaceRecord
from quarterdeck.files.paths import is_allowed, is_editable_path, is_shown, shown
from quarterdeck.files.places.place import CommitInfo, EntryKind, Missing, Place, PlaceError, Stat
from quarterdeck.files.recent import Recent
from quarterdeck.files.register import Places, repository_of, target_of
from quarterdeck.files.text import texts
from quarterdeck.files.text.highlighting import Line, highlighted
from quarterdeck.files.tree.kept import Kept
from quarterdeck.files.tree.trees import Standing, Trees
from quarterdeck.history.service import History

MOST_RAW_BYTES: Final = 64 * 1024 * 1024
"""Of a file that is downloaded: it passes through memory."""
_MOST_KEPT_BYTES: Final = 32 * 1024 * 1024
_MOST_KEPT_FACTS: Final = 5_000
_MOST_KEPT_LINES: Final = 200_000
_LONGEST_TARGET: Final = 4096

WORDS: Final = {
    "binary": "This is no text, so it can only be downloaded.",
    "encoding": "This is text in an encoding that nobody has named yet: choose one, or download it.",
    "lfs": "This is a pointer of Git LFS: the repository holds only this note of where the contents are.",
    "too-large": f"This is larger than {texts.MOST_BYTES // 1024:,} KB, so it can only be downloaded.",
    "link": "This is a symbolic link. It is shown, and not followed.",
    "submodule": "This is another repository (a submodule), of which only a commit stands here.",
}
"""Why there is no text to edit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A file at a commit. ``text`` is None where it can't be shown; ``why`` is then a word of ``WORDS``."""

    place: PlaceRecord
    standing: Standing
    path: str
    stat: Stat
    text: str | None = None
    style: texts.Style | None = None
    why: str = ""
    target: str = ""
    """Where a symbolic link leads; nothing is looked for there."""
    last_change: CommitInfo | None = None
    link: str = ""
    """The file's page at the place."""
    is_branch: bool = True
    """False for a tag and for a commit, from which no change starts."""
    why_fixed: str = ""
    """Why this person can't change the file here; empty where they can."""

    @property
    def commit(self) -> str:
        return self.standing.commit

    @property
    def ref(self) -> str:
        return self.standing.ref

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a path at a commit before it is read; it never changes."""

    stat: Stat
    last_change: CommitInfo | None


class Looking:
    """Looks at files; what was read stays in memory up to a weight, as a commit never changes."""

    def __init__(
        self, places: Places, trees: Trees, history: History, recent: Recent, *, records_views: bool
    ) -> None:
        self._places, self._trees, self._history, self._recent = places, trees, history, recent
        self._records_views = records_views
        self._facts: Kept[Facts] = Kept(_MOST_KEPT_FACTS)
        self._contents: Kept[bytes] = Kept(_MOST_KEPT_BYTES)
        self._lines: Kept[list[Line]] = Kept(_MOST_KEPT_LINES)

    def look(self, actor: Actor, place_name: str, ref: str, path: str, *, encoding: str = "") -> View:
        """Return a file as it is at a branch, tag or commit, the default branch when none is named.

        Raises NotFound for a place that is not open to the actor, Missing and other PlaceErrors.
        """
        record, place, standing = self._find(actor, place_name, ref, path)
        if self._records_views:
            with self._history.action(
                actor, "file.view", _object(record), detail=_told(standing, record, path)
            ):
                view = self._view(actor, record, place, standing, path, encoding)
        else:
            view = self._view(actor, record, place, standing, path, encoding)
        self._recent.note(actor, record, path)
        return view

    def lines(self, view: View) -> list[Line]:
        """Return the lines of the text with the words that have a colour; none where no text is shown."""
        if view.text is None or view.style is None:
            return []
        key = (*_key(view.place, view.commit, view.path, view.stat), view.style.encoding)
        lines = self._lines.get(key)
        if lines is None:
            lines = highlighted(view.path, view.text)
            self._lines.put(key, lines, sum(len(line) + 1 for line in lines))
        return lines

    def download(self, actor: Actor, place_name: str, ref: str, path: str) -> tuple[View, bytes]:
        """Return a file's bytes as they are stored, and what is known of it; raises TooLarge beyond a limit.

        Raises as ``look`` does, and Missing for a submodule.
        """
        record, place, standing = self._find(actor, place_name, ref, path)
        facts = self._facts_of(record, place, standing.commit, path)
        if facts.stat.kind is EntryKind.SUBMODULE:
            raise Missing(WORDS["submodule"])
        detail = _told(standing, record, path)
        with self._history.action(actor, "file.download", _object(record), detail=detail) as outcome:
            content = self._read(record, place, standing.commit, facts.stat, most_bytes=MOST_RAW_BYTES)
            outcome["bytes"] = len(content)
        return View(place=record, standing=standing, path=path, stat=facts.stat), content

    def resolve(self, actor: Actor, place_name: str, ref: str, path: str) -> Standing:
        """Return the commit at which ``download`` would read; raises as it does."""
        return self._find(actor, place_name, ref, path)[2]

    def _find(
        self, actor: Actor, place_name: str, ref: str, path: str
    ) -> tuple[PlaceRecord, Place, Standing]:
        record = self._places.get(actor, place_name)
        if not is_shown(path) or not is_allowed(path, record.allowed_paths):
            raise Missing(f"There is no file “{shown(path[:200])}” here that may be looked at.")
        place = self._places.open(record)
        ref = ref or self._trees.default_branch(record, place)
        return record, place, self._trees.standing(record, place, ref)

    def _view(
        self, actor: Actor, record: PlaceRecord, place: Place, standing: Standing, path: str, encoding: str
    ) -> View:
        facts = self._facts_of(record, place, standing.commit, path)
        view = View(
            place=record,
            standing=standing,
            path=path,
            stat=facts.stat,
            last_change=facts.last_change,
            link=place.link_to_file(standing.ref, path),
            is_branch=not self._trees.is_fixed(record, standing.ref, standing.commit),
        )
        view = self._with_contents(view, place, encoding)
        return replace(view, why_fixed=_why_fixed(actor, view))

    def _with_contents(self, view: View, place: Place, encoding: str) -> View:
        kind, stat = view.stat.kind, view.stat
        if kind is EntryKind.SUBMODULE:
            return replace(view, why="submodule")
        if kind is EntryKind.LINK:
            return replace(view, why="link", target=self._target(view, place))
        if stat.size > texts.MOST_BYTES:
            return replace(view, why="too-large")
        try:
            content = self._read(view.place, place, view.commit, stat, most_bytes=texts.MOST_BYTES)
            text, style = texts.decode(content, encoding=encoding)
        except TooLarge:
            return replace(view, why="too-large")
        except texts.NotText as error:
            return replace(view, why=error.why)
        return replace(view, text=text, style=style)

    def _target(self, view: View, place: Place) -> str:
        try:
            content = self._read(view.place, place, view.commit, view.stat, most_bytes=_LONGEST_TARGET)
        except (PlaceError, TooLarge):  # not every place tells
            return ""
        return shown(content.decode(errors="replace"))

    def _facts_of(self, record: PlaceRecord, place: Place, commit: str, path: str) -> Facts:
        key = (record.id, record.url, commit, path)
        facts = self._facts.get(key)
        if facts is None:
            stat = place.stat(commit, path)
            try:
                facts = Facts(stat, place.last_change(commit, path))
            except PlaceError:  # the file is there all the same; it is asked for again the next time
                return Facts(stat, None)
            self._facts.put(key, facts)
        return facts

    def _read(self, record: PlaceRecord, place: Place, commit: str, stat: Stat, *, most_bytes: int) -> bytes:
        key = _key(record, commit, stat.path, stat)
        content = self._contents.get(key)
        if content is None:
            content = place.read(commit, stat.path, most_bytes=most_bytes)
            if len(content) <= texts.MOST_BYTES:
                self._contents.put(key, content, len(content) + 200)
        return content


def _key(record: PlaceRecord, commit: str, path: str, stat: Stat) -> tuple[str, ...]:
    """Return what contents hang on: the same version has the same ones, whatever the commit."""
    return record.id, record.url, path, stat.version or commit


def _object(record: PlaceRecord) -> str:
    return f"place:{record.name}"


def _told(standing: Standing, record: PlaceRecord, path: str) -> dict[str, str]:
    return {
        "repository": repository_of(record),
        "branch": standing.ref,
        "path": path,
        "commit": standing.commit,
    }


def _why_fixed(actor: Actor, view: View) -> str:
    verdict = judge(actor, "file.write", target_of(view.place))
    if not verdict.is_allowed:
        return f"You may look at this, not change it. {verdict.reason}"
    if not view.is_branch:
        return f"Changes start from a branch, and {view.ref[:80]} is none: choose a branch."
    if not is_editable_path(view.path):
        return "A file of such a name can be looked at, but not changed here."
    return WORDS.get(view.why, "") if view.why and view.why != "lfs" else ""
