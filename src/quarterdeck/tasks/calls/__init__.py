"""What the master runs by HTTP: tasks on workers, and API calls."""
