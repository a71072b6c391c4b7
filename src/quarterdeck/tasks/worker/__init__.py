"""The worker's side of runs: it takes orders, carries them out and answers its master."""
