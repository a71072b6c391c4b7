"""The process that commands of a worker run under, and that outlives the worker.

It is started by path, without the worker's libraries, and imports only the standard library and what
stands in this folder: one of it serves all tasks of a worker in about 11 MB.
"""
