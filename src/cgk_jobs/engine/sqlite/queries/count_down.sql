UPDATE steps SET pending = pending - 1, finished_at = ? WHERE run_seq = ? AND name = ? AND pending > 0 RETURNING pending
