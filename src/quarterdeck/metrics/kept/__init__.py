"""What is kept of the figures in SQL, and reading it."""
