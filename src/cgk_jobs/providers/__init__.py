"""Who wakes a run. None is built yet."""
