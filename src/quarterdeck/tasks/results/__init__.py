"""What the output of many hosts comes to: folded, compared, as a matrix, for pages and as files."""
