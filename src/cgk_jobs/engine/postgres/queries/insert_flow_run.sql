-- One run of a task with flow control: what insert_runs writes for many, with the keys it goes by.
INSERT INTO cgk_jobs.runs (tenant_id, seq, nonce, event_seq, task, queue, state, rank, lane, vstart, due_at, expires_at, held_by, event_name,
    event_version, payload, tags, tick_at, replay_of, created_at, parent_seq, parent_step, depth, direct, flow_key, order_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,
    CASE WHEN $11::boolean THEN greatest($10::double precision, (SELECT c.value FROM cgk_jobs.queue_clocks c WHERE c.queue = $6),
        (SELECT t.value FROM cgk_jobs.tenant_clocks t WHERE t.tenant_id = $1 AND t.queue = $6)) ELSE $10::double precision END,
    $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)
