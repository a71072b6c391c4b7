"""Changes: a temporary branch, the drafts of its files, their commit, and what becomes of it after.

A change is begun, edited, compared, committed and proposed, or discarded; its text is never lost on the way.
"""
