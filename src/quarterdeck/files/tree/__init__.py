"""What is in a place at a commit: listings and tips, kept in memory, and finding a file among its paths.

Who asks for what is being fetched waits for that fetch; a listing of a commit never goes stale.
"""
