"""Small nodes that tests start as processes: ``python -m tests.core.node_scripts NAME PORT``."""

import asyncio
import sys
import threading
from typing import Any

from quarterdeck.core import serve
from quarterdeck.core.bridge import Bridge
from quarterdeck.core.config import Bind
from quarterdeck.core.dispatch import Dispatcher, healthz
from quarterdeck.core.errors import Busy
from quarterdeck.core.live.service import Live
from quarterdeck.core.loop import Loop
from tests.core.live_server import Cast


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def hanging(_environ: dict[str, Any], _start_response: Any) -> list[bytes]:
    """Answer never: what a stuck handler does to its thread."""
    tell("hanging")
    threading.Event().wait()
    return []


async def end_account() -> None:
    tell("accounted for")


async def hang() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise Busy("/home/history can't be written: no space left.")


async def block_the_loop() -> None:
    threading.Event().wait(20)


def main(kind: str, port: str) -> int:
    live = Live(Cast())
    loop = Loop()
    more: dict[str, Any] = {  # Any: steps of a dispatcher
        "node": {"startup": [live.start], "shutdown": [end_account]},
        "hanging-shutdown": {"startup": [live.start], "shutdown": [hang, end_account]},
        "blocked-shutdown": {"startup": [live.start], "shutdown": [block_the_loop]},
        "failing-start": {"startup": [live.start, fail], "shutdown": [end_account]},
    }[kind]
    app = Dispatcher(
        Bridge(hanging, threads=4, body_bytes=1000),
        loop=loop,
        sockets=live,
        hot={"/healthz": healthz},
        stopping=[live.stop],
        **more,
    )
    return serve.run(
        app,
        Bind("127.0.0.1", int(port)),
        announce=lambda bound: tell(f"serving {bound.port}"),
        before_end=app.stop,
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
