"""Short messages to people: toasts.

A toast goes to a person, a role or all, appears on any page, and stays in the drawer.
"""
