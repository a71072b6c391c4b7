"""What costs this node seconds, and how much of it one who asks may have.

Far beyond what somebody at a page does: they stop loops and keep threads free for everybody else.
"""

from typing import Final

from quarterdeck.core.limits import Cost

SEARCHES: Final = Cost("searches", a_minute=600, at_once=4, at_once_in_all=8)
"""Reading through the history or outputs of runs for what fits."""
EXPORTS: Final = Cost("exports", a_minute=60, at_once=2, at_once_in_all=6)
DOWNLOADS: Final = Cost("downloads", a_minute=3_000, at_once=32, at_once_in_all=64)
"""Of output. Each open one is memory and a file; a command line follows many hosts by short ones."""
PROOFS: Final = Cost("proofs of the history", a_minute=10, at_once=2, at_once_in_all=2)
CONTACTS: Final = Cost("tests and scans of hosts", a_minute=240, at_once=4, at_once_in_all=8)
"""Each holds a thread until the host answers or the time for connecting is over."""
IMPORTS: Final = Cost("imports of hosts", a_minute=60, at_once=2, at_once_in_all=4)
SERIES: Final = Cost("readings of figures over time", a_minute=1_200, at_once=8, at_once_in_all=8)
"""A year of a host takes 50 ms of a core; pages with charts ask for several at a time."""
ALL: Final = (SEARCHES, EXPORTS, DOWNLOADS, PROOFS, CONTACTS, IMPORTS, SERIES)
