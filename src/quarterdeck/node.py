"""The entry point of a node: ``SELFSERVICE_TYPE`` says whether it is a master or a worker."""

import sys
from typing import Protocol

from quarterdeck.core import serve
from quarterdeck.core.asgi import Receive, Scope, Send
from quarterdeck.core.config import Bind, NodeKind, Settings, SettingsError, load_settings
from quarterdeck.core.errors import QuarterdeckError
from quarterdeck.core.log import configure_logging


class Node(Protocol):
    """What ``create_asgi`` of master and worker returns; one that does not ``listen`` dials out instead."""

    listens: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def stop(self) -> None:
        """Let go of what waits for news, before the server waits for its connections."""


def main() -> int:
    """Run the node that the settings describe until it is asked to end; returns the exit status."""
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.stderr.write(f"quarterdeck: {error.message}\n")
        return 2
    return run(settings)


def run(settings: Settings) -> int:
    """Run a master or worker with these settings; returns the exit status."""
    try:
        configure_logging(settings)
        node = create_node(settings)
    except QuarterdeckError as error:
        sys.stderr.write(f"quarterdeck: {error.message}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"quarterdeck: {error.filename or settings.home}: {error.strerror or error}\n")
        return 1
    if not node.listens:
        return serve.run(node, None, before_end=node.stop)
    bind = settings.bind if settings.node_type is NodeKind.MASTER else settings.worker_bind
    return serve.run(node, bind, announce=lambda bound: _announce(settings, bound), before_end=node.stop)


def create_node(settings: Settings) -> Node:
    """Make the ASGI application of the settings' node kind; the other kind is not even imported."""
    if settings.node_type is NodeKind.MASTER:
        from quarterdeck import master

        return master.create_asgi(settings)
    from quarterdeck import worker

    return worker.create_asgi(settings)


def _announce(settings: Settings, bound: Bind) -> None:
    what = "console" if settings.node_type is NodeKind.MASTER else "worker"
    sys.stderr.write(f"quarterdeck {what}: {settings.public_url or bound.url}\n")
