INSERT INTO cgk_jobs.tenant_quotas (tenant_id, queued_soft, queued_hard, bytes_soft, bytes_hard, sends_soft, sends_hard, sends_seconds, closed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant_id) DO UPDATE SET queued_soft = excluded.queued_soft, queued_hard = excluded.queued_hard, bytes_soft = excluded.bytes_soft,
    bytes_hard = excluded.bytes_hard, sends_soft = excluded.sends_soft, sends_hard = excluded.sends_hard,
    sends_seconds = excluded.sends_seconds, closed = excluded.closed
