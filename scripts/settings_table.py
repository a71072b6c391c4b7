"""Rewrite the table of docs/settings.md from the settings themselves."""

from dataclasses import fields
from pathlib import Path

from quarterdeck.core.config import Settings, setting_text, variable_name

START, END = "<!-- table -->\n", "<!-- end of table -->\n"


def table() -> str:
    """Return the Markdown table, a row a setting."""
    rows = ["| Setting | Default | What it is |", "|---|---|---|"]
    for item in fields(Settings):
        names = ", ".join(f"`{name}`" for name in (variable_name(item.name), *item.metadata["aliases"]))
        names = "`SELFSERVICE_TYPE`" if item.name == "node_type" else names
        default = setting_text(item.default).replace(str(Path.home()), "~")
        rows.append(f"| {names} | {f'`{default}`' if default else ''} | {item.metadata['about']} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    path = Path("docs/settings.md")
    before, rest = path.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    path.write_text(f"{before}{START}{table()}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
