"""Parts of a query to Bitbucket Cloud."""


def only(*names: str) -> tuple[str, str]:
    """Return the parameter that trims an answer to these members."""
    return "fields", ",".join(names)


def quoted(text: str) -> str:
    """Return a text as Bitbucket's query language has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
