"""Runs on a terminal, as the command line starts and follows them."""
