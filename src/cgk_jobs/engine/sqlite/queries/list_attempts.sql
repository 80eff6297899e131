SELECT attempt, outcome, error, ended_at FROM attempts WHERE run_seq = ? ORDER BY claim
