UPDATE steps SET pending = pending + ?, failed = 0, result = CASE WHEN ? THEN result END WHERE run_seq = ? AND name = ?
