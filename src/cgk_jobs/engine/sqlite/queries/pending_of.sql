SELECT pending FROM steps WHERE run_seq = ? AND name = ?
