SELECT max(seq) FROM runs
