-- The run of a key that counts for a while though the run has ended; not one that ended badly.
SELECT n.seq, n.nonce
FROM cgk_jobs.idempotency_keys k CROSS JOIN LATERAL (
    SELECT r.seq, r.nonce FROM cgk_jobs.runs r WHERE r.tenant_id = k.tenant_id AND r.seq = k.run_seqs[1]
    UNION ALL
    SELECT f.seq, f.nonce FROM cgk_jobs.finished_runs f WHERE f.tenant_id = k.tenant_id AND f.seq = k.run_seqs[1] AND f.state = 'completed'
) AS n
WHERE k.tenant_id = $1 AND k.event = $2 AND k.key = $3 AND k.expires_at > $4
