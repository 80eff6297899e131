-- Events with their runs, one row for each run; nothing if this process's settings ($1) are not the ledger's. Numbers are drawn
-- here, from the database's clock, eight at a time: an event takes the first, its runs the others. Rows come sorted by kind: what
-- runs of one task, sent in one way, have in common; a kind says which slice of the rows is its own.
WITH current AS MATERIALIZED (
    SELECT coalesce($2::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    FROM cgk_jobs.configuration WHERE version = $1
), drawn AS (
    SELECT nextval('cgk_jobs.numbers') * 8 AS n FROM current, generate_series(1, $3::integer)
), bases AS MATERIALIZED (
    SELECT array_agg((coalesce($2::bigint / 1000 + (n >> 15), (date_part('epoch', clock_timestamp()) * 1000)::bigint) << 15)
        | (n & 32767)) AS of FROM drawn
), kinds AS MATERIALIZED (
    SELECT k.*, coalesce(c.value, 0) AS now
    FROM unnest($4::text[], $5::text[], $6::text[], $7::integer[], $8::integer[], $9::integer[], $10::text[], $11::text[], $12::bigint[],
        $13::bigint[], $14::bigint[], $15::boolean[], $16::bigint[], $17::integer[], $18::integer[], $19::integer[]) AS k (task, queue,
        event_name, event_version, rank, lane, tags, held_by, expires, tick_at, replay_of, direct, parent_seq, depth, first, last)
    LEFT JOIN cgk_jobs.queue_clocks c ON c.queue = k.queue
), stored AS (
    INSERT INTO cgk_jobs.runs (seq, nonce, event_seq, vstart, due_at, expires_at, tick_at, replay_of, created_at, event_version, rank,
        lane, tenant_id, task, queue, state, event_name, payload, tags, held_by, direct, parent_seq, depth, parent_step)
    SELECT ((SELECT of FROM bases))[r.number >> 3] + (r.number & 7), r.nonce, ((SELECT of FROM bases))[r.event],
        CASE WHEN r.asked THEN greatest(r.vstart, k.now + r.step, (
            SELECT t.value + r.step FROM cgk_jobs.tenant_clocks t WHERE t.tenant_id = r.tenant_id AND t.queue = k.queue AND k.lane <= 0)) ELSE r.vstart END,
        r.due_at, coalesce(r.due_at, (SELECT now FROM current)) + k.expires, k.tick_at, k.replay_of, (SELECT now FROM current), k.event_version, k.rank, k.lane,
        r.tenant_id, k.task, k.queue, CASE WHEN r.due_at IS NULL THEN 'queued' ELSE 'scheduled' END, k.event_name, r.payload, k.tags,
        CASE WHEN r.due_at IS NULL THEN k.held_by END, k.direct, k.parent_seq, k.depth, r.parent_step
    -- The numbers are asked for by themselves: joined, their array would be copied for each row.
    FROM kinds k CROSS JOIN LATERAL unnest(($20::integer[])[k.first:k.last], ($21::integer[])[k.first:k.last],
        ($22::bigint[])[k.first:k.last], ($23::text[])[k.first:k.last], ($24::text[])[k.first:k.last],
        ($25::double precision[])[k.first:k.last], ($26::double precision[])[k.first:k.last], ($27::boolean[])[k.first:k.last],
        ($28::bigint[])[k.first:k.last], ($29::text[])[k.first:k.last])
        AS r (event, number, nonce, tenant_id, payload, vstart, step, asked, due_at, parent_step)
    WHERE EXISTS (SELECT FROM current)
    RETURNING seq, lane, state, tenant_id, queue
), jumped AS (
    -- The tenant's older runs of lower priority owe a place to each of these.
    INSERT INTO cgk_jobs.jumps (seq, cost, lane, tenant_id, queue)
    SELECT s.seq, c.cost, s.lane, s.tenant_id, s.queue
    FROM stored s JOIN unnest($30::text[], $31::double precision[]) AS c (tenant_id, cost) ON c.tenant_id = s.tenant_id
    WHERE s.lane > 0 AND s.state = 'queued'
)
SELECT (SELECT of FROM bases) AS bases, array_agg(seq) AS seqs FROM stored
