"""A fleet that is not there: SSH hosts and workers on loopback, over real sockets, that run nothing.

For trying, sizing and showing Quarterdeck. Every answer is made up here; no command, file or figure of
the real machine is ever touched.
"""
