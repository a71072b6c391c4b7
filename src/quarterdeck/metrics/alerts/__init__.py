"""Rules on the figures of hosts, and the alerts that they ring.

Rules are kept by ``rulebook``, weighed by the pure ``rules`` and ``trend``, and run by ``service`` on the
master's loop; what rang stands in ``store``, in the history and on the pages.
"""
