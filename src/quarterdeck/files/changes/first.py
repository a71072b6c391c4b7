"""The first commit of an empty repository: there is nothing yet that a branch could begin from."""

from collections.abc import Callable
from dataclasses import dataclass

from quarterdeck.core.actors import Actor
from quarterdeck.files.changes.beginning import Turns
from quarterdeck.files.changes.committing import checked_message
from quarterdeck.files.changes.drafts import written
from quarterdeck.files.changes.originals import Wanted, checked
from quarterdeck.files.changes.rights import ChangeRights
from quarterdeck.files.models import DraftAction, PlaceRecord
from quarterdeck.files.places.place import Author, Exists
from quarterdeck.files.register import repository_of, target_of
from quarterdeck.history.service import History


@dataclass(frozen=True, slots=True)
class FirstFile:
    """The file that a repository begins with."""

    path: str
    text: str
    message: str


@dataclass(frozen=True, slots=True)
class FirstCommit:
    """What was made; ``branch`` is the main one from now on."""

    branch: str
    commit: str
    path: str


class FirstCommits:
    """Makes first commits, straight on the main branch; everything after that is a change."""

    def __init__(
        self,
        rights: ChangeRights,
        history: History,
        author_of: Callable[[Actor], Author],
        forget: Callable[[PlaceRecord, str], object],
    ) -> None:
        self._rights, self._history, self._author_of = rights, history, author_of
        self._forget = forget
        self._turns = Turns()

    def make(self, actor: Actor, place_name: str, file: FirstFile) -> FirstCommit:
        """Commit a file to a repository without a commit.

        Raises Exists when it has one by now, Invalid, TooLarge and PlaceErrors; then nothing was made,
        except that after Unanswered it is not known.
        """
        record = self._rights.writable(actor, place_name)
        path = checked(record, Wanted(file.path, DraftAction.NEW)).path
        content, message = written(file.text), checked_message(file.message)
        place = self._rights.open_place(record)
        with self._turns.turn(record.id):
            if place.refs(limit=1):
                raise Exists(
                    "This repository has a commit already: choose a file, or begin a new one, there."
                )
            branch = record.default_branch or place.first_branch()
            detail = {"repository": repository_of(record), "branch": branch, "path": path, "message": message}
            with self._history.action(actor, "file.commit", target_of(record).name, detail=detail) as outcome:
                author = self._author_of(actor)
                commit = place.first_commit(branch, path, content, message, author)
                outcome["after"] = commit
        self._forget(record, branch)
        return FirstCommit(branch, commit, path)
