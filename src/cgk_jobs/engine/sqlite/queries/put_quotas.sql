INSERT OR REPLACE INTO tenant_quotas (tenant_id, queued_soft, queued_hard, bytes_soft, bytes_hard, sends_soft, sends_hard, sends_seconds, closed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
