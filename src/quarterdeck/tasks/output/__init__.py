"""The output of runs: kept in files, told on to who watches, found in, and shown line by line."""
