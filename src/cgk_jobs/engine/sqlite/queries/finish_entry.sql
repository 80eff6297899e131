UPDATE steps SET result = ?, failed = ?, pending = 0, finished_at = ? WHERE run_seq = ? AND name = ? AND pending > 0
