"""A process that appends until it is killed, and says on its standard output what was acknowledged."""

import asyncio
import sys
from pathlib import Path

from quarterdeck.core.clock import SystemClock
from tests.history.factories import ADA, make_history


async def act(name: str, number: int, turns: int) -> None:
    for turn in range(turns):
        object_ = f"run:{name}-{number}-{turn}"
        async with history.action_async(ADA, "task.run", object_):
            sys.stdout.write(f"{object_}\n")
            sys.stdout.flush()


async def main(name: str, tasks: int, turns: int) -> None:
    await asyncio.gather(*(act(name, number, turns) for number in range(tasks)))


if __name__ == "__main__":
    history = make_history(
        Path(sys.argv[1]), clock=SystemClock(), segment_bytes=int(sys.argv[5]), ballast_bytes=65_536
    )
    asyncio.run(main(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    history.close()
