"""Every verb of the command line says whether it works over --server: a new one needs an entry here."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from quarterdeck.cli import main
from quarterdeck.core.command_line import HOME_ONLY

REMOTE = {
    "alert list", "base add", "base list", "base remove", "file find", "file show",
    "change begin", "change commit", "change discard", "change list", "change merge", "change propose",
    "change put", "change show",
    "grant add", "grant list", "grant remove",
    "history export", "history show", "history verify",
    "host add", "host confirm-key", "host import", "host invitations", "host invite", "host list",
    "host remove", "host revoke", "host show", "host tag", "host test", "host uninvite",
    "person add", "person disable", "person enable", "person link", "person list", "person password",
    "person role", "place add", "place list", "place remove", "place test", "rule list",
    "run", "runs cancel", "runs list", "runs output", "runs show",
    "silence add", "silence end", "silence list",
    "toast send",
    "token create", "token list", "token revoke", "token rotate",
}  # fmt: skip
"""Tried one by one, beside the home's own, in tests/end_to_end/test_remote_command_line.py."""
HOME = {"history rebuild", "master", "simulate", "up", "worker"}


def verbs(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from verbs(command, (*before, name))
        else:
            yield " ".join((*before, name)), command


def test_every_verb_has_its_entry() -> None:
    assert sorted(name for name, _ in verbs(main)) == sorted(REMOTE | HOME)


def test_the_entries_are_what_the_commands_say() -> None:
    marked = {name for name, command in verbs(main) if getattr(command.callback, HOME_ONLY, False)}
    assert marked == HOME


@pytest.mark.parametrize("verb", sorted(HOME))
def test_what_works_at_home_only_says_so_over_a_server(verb: str) -> None:
    # Nobody listens there and the file is absent: it must not come to either.
    where = ["--server", "http://127.0.0.1:1", "--token-file", "/absent"]
    done = CliRunner().invoke(main, [*where, *verb.split()], env={"QUARTERDECK_HOME": "/absent"})
    assert done.exit_code == 2
    assert f"{verb}` works on the machine and home of the node itself, not over the API" in done.output


def test_every_verb_stands_in_the_table_of_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/command-line.md").read_text(encoding="utf-8")
    written = {
        line.split("`")[1].split(" [")[0]: line.rsplit("|", 2)[1].strip()
        for line in page.splitlines()
        if line.startswith("| `")
    }
    expected = dict.fromkeys(REMOTE, "yes") | dict.fromkeys(HOME, "home only")
    assert {name: written.get(name) for name in expected} == expected
