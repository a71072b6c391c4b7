"""The landing page and what stands beside it: search over everything, keyboard help, theme, pattern page.

It knows no other capability: the factory hands in who answers the figures and the search.
"""
