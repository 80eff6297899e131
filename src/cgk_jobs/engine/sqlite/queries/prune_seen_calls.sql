DELETE FROM seen_calls WHERE until <= ?
