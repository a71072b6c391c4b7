"""News for the pages: Socket.IO with rooms, permission to join them, and a cheap broadcast.

``service.py`` is what the capabilities use, ``cheap.py`` replaces two internals of the library,
``origin.py`` judges where a connection comes from.
"""
