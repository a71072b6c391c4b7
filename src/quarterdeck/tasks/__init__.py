"""What is run on hosts: commands, built-in tasks and API calls, each as a run with its states and output."""
