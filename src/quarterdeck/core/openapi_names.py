"""Names of the document's schemas: plain nouns that stay, for generated clients make classes of them.

APIFlask names what is nested by where it stands (``RunOut.RunHostOut``), once for each place. Here each
schema has one name: what its model says by ``title``, or the name of its class without ``Out``.
"""

from typing import Any, Final

Json = dict[str, Any]  # Any: a part of the document

_PLACE: Final = "#/components/schemas/"
_OUT: Final = "Out"


def name_plainly(document: Json) -> None:
    """Give each schema its one plain name, and each reference with it.

    Raises ValueError when two different schemas claim the same name.
    """
    schemas = document["components"]["schemas"]
    names = {name: _plain(name, schema) for name, schema in schemas.items()}
    named: Json = {}
    for name, schema in schemas.items():
        plain, content = names[name], _renamed(schema, names)
        content["title"] = plain
        if named.setdefault(plain, content) != content:
            raise ValueError(f"Two schemas are called {plain}; give one of the models a title.")
    document["components"]["schemas"] = dict(sorted(named.items()))
    document["paths"] = _renamed(document["paths"], names)


def _plain(name: str, schema: Json) -> str:
    return str(schema.get("title") or name.rpartition(".")[2]).removesuffix(_OUT)


def _renamed(part: Any, names: dict[str, str]) -> Any:  # Any: JSON
    if isinstance(part, dict):
        return {key: _renamed(value, names) for key, value in part.items()}
    if isinstance(part, list):
        return [_renamed(value, names) for value in part]
    if isinstance(part, str) and part.startswith(_PLACE):
        name = part.removeprefix(_PLACE)
        return _PLACE + names.get(name, name)
    return part
