"""What stands behind a place: one Protocol, and an adapter for each kind of repository.

An adapter speaks one foreign format and knows nothing of people, drafts or history.
"""
