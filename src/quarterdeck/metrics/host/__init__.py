"""The page and the API of one host's figures, and of several compared."""
