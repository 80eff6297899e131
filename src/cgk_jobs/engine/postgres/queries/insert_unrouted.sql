-- Events nobody listens to; nothing if this process's settings ($1) are not the ledger's: somebody may listen by now.
WITH drawn AS (
    SELECT e.*, nextval('cgk_jobs.numbers') * 8 AS n
    FROM unnest($3::bigint[], $4::text[], $5::text[], $6::integer[], $7::text[]) AS e (nonce, tenant_id, name, version, payload)
    WHERE EXISTS (SELECT FROM cgk_jobs.configuration WHERE version = $1)
), stored AS (
    INSERT INTO cgk_jobs.unrouted_events (seq, nonce, created_at, version, tenant_id, name, payload)
    SELECT (coalesce($2::bigint / 1000 + (n >> 15), (date_part('epoch', clock_timestamp()) * 1000)::bigint) << 15) | (n & 32767), nonce,
        coalesce($2::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), version, tenant_id, name, payload
    FROM drawn
    RETURNING seq
)
SELECT array_agg(seq) AS seqs FROM stored
