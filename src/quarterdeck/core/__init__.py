"""What every capability stands on: settings, errors, storage, the loop, the web edge.

Nothing here knows a capability. A thing moves in when a third folder needs it.
"""
