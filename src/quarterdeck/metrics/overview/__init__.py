"""All hosts at a glance: the table, its files, the wall, and the list for programs."""
