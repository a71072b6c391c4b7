"""Which node starts, and what is said when none can."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.core.test_serve import process


async def said(home: Path, **settings: str) -> tuple[int | None, list[str]]:
    async with process("-m", "quarterdeck", QUARTERDECK_HOME=str(home), **settings) as made:
        _, error = await asyncio.wait_for(made.communicate(), 30)
    return made.returncode, error.decode().splitlines()


@pytest.mark.parametrize("kind", ["CELERY", "master worker", "MASTERR", "1"])
async def test_a_wrong_type_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    assert await said(tmp_path, SELFSERVICE_TYPE=kind) == (
        2,
        ["quarterdeck: SELFSERVICE_TYPE is not valid; it must be master or worker."],
    )
    assert not list(tmp_path.iterdir())


async def test_a_wrong_setting_is_one_clear_line(tmp_path: Path) -> None:
    status, lines = await said(tmp_path, QUARTERDECK_THREADS="many")
    assert (status, lines) == (
        2,
        ["quarterdeck: QUARTERDECK_THREADS is not valid; it must be a whole number from 2 to 128."],
    )


async def test_a_home_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    status, lines = await said(tmp_path / "file" / "home")
    assert status in (1, 2)
    assert len(lines) == 1
    assert str(tmp_path / "file") in lines[0]


async def test_nothing_happens_at_import() -> None:
    code = (
        "import sys, quarterdeck.asgi, quarterdeck.node; "
        "loaded = [name for name in sys.modules if name.startswith(('quarterdeck.master',"
        " 'quarterdeck.worker', 'flask', 'sqlalchemy', 'socketio'))]; sys.exit(bool(loaded))"
    )
    async with process("-c", code) as made:
        _, error = await made.communicate()
    assert (made.returncode, error) == (0, b"")


def test_the_entry_points_know_two_names() -> None:
    from quarterdeck import asgi

    with pytest.raises(AttributeError, match="no attribute 'dispatcher'"):
        asgi.dispatcher  # noqa: B018 - the access is the test
    assert sys.modules["quarterdeck.asgi"] is asgi
