-- Runs whose rows the caller holds take the places given, or later ones if the shared clocks are ahead of its memory. A run
-- of higher priority goes ahead of its tenant's waiting runs under a number of this moment: its own may be older than
-- theirs. For the same reason a run owes nothing for jumps before this moment.
WITH given AS MATERIALIZED (
    SELECT s.*, (coalesce($1::bigint / 1000 + (s.n >> 15), (date_part('epoch', clock_timestamp()) * 1000)::bigint) << 15)
        | (s.n & 32767) AS number
    FROM (
        SELECT r.*, nextval('cgk_jobs.numbers') * 8 AS n
        FROM unnest($2::text[], $3::bigint[], $4::text[], $5::integer[], $6::double precision[], $7::double precision[],
            $8::double precision[], $9::boolean[], $10::text[])
            AS r (tenant_id, seq, queue, lane, vstart, cost, step, asked, held_by)
    ) s
), jumped AS (
    INSERT INTO cgk_jobs.jumps (seq, cost, lane, tenant_id, queue)
    SELECT number, cost, lane, tenant_id, queue FROM given WHERE lane > 0
)
UPDATE cgk_jobs.runs r
SET state = 'queued', due_at = NULL, queue = g.queue, held_by = g.held_by, moved_for = g.number,
    vstart = CASE WHEN g.asked THEN greatest(g.vstart, (SELECT c.value + g.step FROM cgk_jobs.queue_clocks c WHERE c.queue = g.queue),
        (SELECT t.value + g.step FROM cgk_jobs.tenant_clocks t WHERE t.tenant_id = g.tenant_id AND t.queue = g.queue AND g.lane <= 0))
        ELSE g.vstart END
FROM given g
WHERE r.tenant_id = g.tenant_id AND r.seq = g.seq
