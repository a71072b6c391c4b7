"""Runs under way: from the queue over every host's part to the end, and again after a restart."""
