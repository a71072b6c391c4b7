"""A record of an output's index, as master, worker and supervisor write it; imports next to nothing."""

import struct

RECORD = struct.Struct("<BxxxIQQQ")
"""Stream, length, offset in its stream, bytes of both streams before it, microseconds since 1970."""
OUT = 1
ERR = 2
