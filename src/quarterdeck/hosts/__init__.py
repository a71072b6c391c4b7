"""The machines that Quarterdeck works on.

SSH hosts, workers and the master itself in one list, with how to reach each and whether it answers.
"""
