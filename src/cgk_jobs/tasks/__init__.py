"""Tasks: what to run, when, how often, and how many at once."""
