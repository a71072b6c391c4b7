"""The live page of the master's own machine: a foreign page's wire format, and a page of our own.

Both read the same figures as everything else, and one message goes to all who look, however many
(docs/live.md, docs/decisions/0025-live.md).
"""
