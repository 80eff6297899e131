UPDATE steps SET ordered = 0 WHERE run_seq = ? AND place > ?
