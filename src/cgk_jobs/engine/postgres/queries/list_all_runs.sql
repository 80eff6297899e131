-- Every tenant's runs, newest first: for operators. The newest of each tenant by its key, and of these the newest; then the rows.
-- {where} and {finished} are fixed texts of reads.py.
WITH newest AS MATERIALIZED (
    SELECT n.tenant_id, n.seq
    FROM (SELECT id FROM cgk_jobs.tenants UNION SELECT 'platform') t
    CROSS JOIN LATERAL (
        (SELECT r.tenant_id, r.seq FROM cgk_jobs.runs r WHERE r.tenant_id = t.id AND {where} AND r.seq < $1
        ORDER BY r.seq DESC LIMIT $2)
        UNION ALL
        (SELECT r.tenant_id, r.seq FROM cgk_jobs.finished_runs r WHERE r.tenant_id = t.id AND {where} AND {finished} AND r.seq < $1
        ORDER BY r.seq DESC LIMIT $2)
    ) n
    ORDER BY n.seq DESC LIMIT $2
)
SELECT r.seq, r.nonce, r.tenant_id, r.task, r.queue, r.state, r.lane, r.attempt, r.claim, r.worker, r.event_seq, r.event_name,
    r.event_version, r.payload, NULL::text AS result, r.error, r.progress, r.tags, r.created_at, r.due_at, r.started_at,
    NULL::bigint AS finished_at, r.held_by, r.expires_at, r.tick_at, r.replay_of, r.parent_seq, r.failing, r.metadata, r.events
FROM newest n JOIN cgk_jobs.runs r ON r.tenant_id = n.tenant_id AND r.seq = n.seq
UNION ALL
SELECT r.seq, r.nonce, r.tenant_id, r.task, r.queue, r.state, r.lane, r.attempt, r.claim, NULL::integer, r.event_seq, r.event_name,
    r.event_version, r.payload, r.result, r.error, r.progress, r.tags, r.created_at, NULL::bigint, r.started_at, r.finished_at,
    NULL::text, r.expires_at, r.tick_at, r.replay_of, r.parent_seq, r.failing, r.metadata, r.events
FROM newest n JOIN cgk_jobs.finished_runs r ON r.tenant_id = n.tenant_id AND r.seq = n.seq
ORDER BY 1 DESC
