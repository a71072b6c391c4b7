"""Entry points for another ASGI server: ``quarterdeck.asgi:master`` and ``quarterdeck.asgi:worker``.

For gunicorn with its uvicorn worker class and one worker. Nothing is made until a name is asked for.
"""

from quarterdeck.core.config import NodeKind, load_settings
from quarterdeck.core.log import configure_logging
from quarterdeck.node import Node, create_node


def __getattr__(name: str) -> Node:
    if name not in (NodeKind.MASTER.value, NodeKind.WORKER.value):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings = load_settings(node_type=NodeKind(name))
    configure_logging(settings)
    return create_node(settings)
