"""Tasks on this node's own machine, a master's as a worker's; what a worker loads too."""
