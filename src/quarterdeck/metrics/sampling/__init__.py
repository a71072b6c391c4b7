"""Sampling a machine on the machine itself, and a worker's heartbeats of it."""
