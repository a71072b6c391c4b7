"""History: every action of every person, token and node, on disk before it begins and after it ends.

Append-only files in a keyed hash chain, with a search that never scans more than it must, and a
proof that names file and line of the first fault. ``service.History`` is the way in.
"""
