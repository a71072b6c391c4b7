"""Quarterdeck: a self-hosted, self-service operations dashboard.

One program is master or worker by ``SELFSERVICE_TYPE``; ``node.py`` decides.
"""

from importlib.metadata import version

__version__ = version("quarterdeck")
