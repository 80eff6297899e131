SELECT name, result FROM steps WHERE run_seq = ?
