"""Figures for Prometheus: of all hosts on a master, of its own machine on a worker, and of nodes themselves.

Names are those of node_exporter where they mean the same, and begin with ``quarterdeck_host_`` where they
do not (docs/prometheus.md).
"""
