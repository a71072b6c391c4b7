from dataclasses import fields
from pathlib import Path

from quarterdeck.core.config import Settings, variable_name
from scripts.settings_table import END, START, table

PAGE = Path(__file__).parents[2] / "docs/settings.md"


def test_the_table_of_settings_is_the_one_made_from_the_settings() -> None:
    written = PAGE.read_text(encoding="utf-8").split(START)[1].split(END)[0]
    assert written == table()


def test_every_setting_says_what_it_is() -> None:
    silent = [
        variable_name(item.name) for item in fields(Settings) if not item.metadata["about"].endswith(".")
    ]
    assert silent == []
