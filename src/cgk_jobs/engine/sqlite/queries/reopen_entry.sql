UPDATE steps SET pending = pending + 1, failed = 0, result = CASE WHEN ? THEN result END WHERE run_seq = ? AND name = ?
