"""What every page of a master shares: frame, parts, styles, scripts, and their guards.

Only a master has pages; a worker never imports this.
"""
