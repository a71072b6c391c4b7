"""Sampling SSH hosts without a worker, through a shell channel."""
