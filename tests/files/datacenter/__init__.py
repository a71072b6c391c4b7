"""The adapter for Bitbucket Data Center against a strict server of our own with real git objects."""
