-- In one order, so that two who write the same runs' do not wait for each other. A run that got one meanwhile gets no other.
INSERT INTO cgk_jobs.wakeups (tenant_id, run_seq, run_nonce, task, queue, lane, due_at, id, provider, issued_at)
SELECT n.*, $9, $10
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::integer[], $7::bigint[], $8::text[])
    AS n (tenant_id, run_seq, run_nonce, task, queue, lane, due_at, id)
ORDER BY n.tenant_id COLLATE "C", n.run_seq
ON CONFLICT (tenant_id, run_seq) WHERE NOT obsolete DO NOTHING
RETURNING id
