"""Texts as pure calculation: from bytes and back, compared, merged, and coloured, each in bounded time.

Nothing here knows of places, people or pages.
"""
