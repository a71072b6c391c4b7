"""Quarterdeck: a self-hosted, self-service operations dashboard.

One program is master or worker by ``SELFSERVICE_TYPE``; ``node.py`` decides.
"""

__version__: str


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: the supervisor imports this package and has no use for it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    globals()["__version__"] = version("quarterdeck")
    return str(globals()["__version__"])
