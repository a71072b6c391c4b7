"""How the hosts are doing, in figures.

Samples of every node reach the master with its heartbeat; pages, charts, rules, Prometheus and the foreign
live page all read the same ones.
"""
