"""The messages between master and worker, which both import; no I/O happens here.

Fields are only ever added, each with a default, so that one minor version back stays readable.
"""
