"""Who is who, and who may do what.

People, their sessions and tokens, and ``permissions.may``: the one judge behind every way in.
"""
