"""Commands on SSH hosts: run and followed there, kept through a lost connection, and ended with proof."""
