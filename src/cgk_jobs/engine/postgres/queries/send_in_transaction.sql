-- Events into the application's own transaction, each with a run for every task that listens. Runs are stored as scheduled, due
-- at once: their place in the fair order is the engine's to give, after the commit. The only parameter is a JSON text, which
-- every driver can send. Settings are read here and not taken from memory: the transaction may see older ones.
-- A key that is in use keeps its event out; one that another transaction has just taken is waited for. What becomes of a run of a
-- task with flow control is decided after the commit, too: it is marked as arriving. Answers, as JSON, for each event that was
-- stored its place, its number and those of its runs. Numbers are drawn as insert_runs.sql draws them.
-- Types are qualified: a session may have a temporary one by the name of text.
WITH asked AS MATERIALIZED (
    SELECT $1::pg_catalog.text::pg_catalog.json AS of
), current AS MATERIALIZED (
    SELECT (of ->> 'now')::bigint AS given,
        coalesce((of ->> 'now')::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
    FROM asked
), events AS MATERIALIZED (
    SELECT e.*, coalesce(e.task, e.name) AS keyed_by, CASE WHEN e.task IS NULL THEN e.name END AS listened_to
    FROM asked, json_to_recordset(asked.of -> 'events') AS e (place integer, nonce bigint, version integer, due_at bigint,
        key_until bigint, lane integer, expires double precision, tenant_id pg_catalog.text, name pg_catalog.text,
        payload pg_catalog.text, task pg_catalog.text, key pg_catalog.text, tags pg_catalog.text)
    -- All of them. A limit tells the planner that there are few, and what would cost a lot is compiled first (jit), for 100 ms.
    LIMIT (SELECT json_array_length(of -> 'events') FROM asked)
), targets AS MATERIALIZED (
    SELECT e.place, s.task, s.queue, s.rank, s.lane, s.expires, s.tags, s.flow,
        (row_number() OVER (PARTITION BY e.place ORDER BY s.task COLLATE pg_catalog."C") - 1)::integer AS number
    FROM events e JOIN cgk_jobs.subscriptions s ON s.event = e.listened_to OR s.task = e.task
), draws AS MATERIALIZED (
    SELECT d.place, d.draw, (coalesce(c.given / 1000 + (d.n >> 15), (extract(epoch FROM clock_timestamp()) * 1000)::bigint) << 15)
        | (d.n & 32767) AS base
    FROM current c, (
        SELECT o.place, o.draw, nextval('cgk_jobs.numbers') * 8 AS n
        FROM (
            SELECT e.place, g.draw
            FROM events e, generate_series(0, (SELECT greatest(count(*) - 1, 0) / 7 FROM targets t WHERE t.place = e.place)::integer)
                AS g (draw)
            ORDER BY e.place, g.draw
        ) o
    ) d
), runs AS MATERIALIZED (
    SELECT t.*, d.base + mod(t.number, 7) + 1 AS seq
    FROM targets t JOIN draws d ON d.place = t.place AND d.draw = t.number / 7
), storable AS MATERIALIZED (
    SELECT e.*, d.base, EXISTS (SELECT FROM runs r WHERE r.place = e.place) AS heard
    FROM events e JOIN draws d ON d.place = e.place AND d.draw = 0
    WHERE (e.task IS NULL OR EXISTS (SELECT FROM runs r WHERE r.place = e.place))
), taken AS (
    INSERT INTO cgk_jobs.idempotency_keys (event_seq, nonce, expires_at, tenant_id, event, key, payload, run_seqs)
    SELECT s.base, s.nonce, s.key_until, s.tenant_id, s.keyed_by, s.key, s.payload,
        ARRAY(SELECT r.seq FROM runs r WHERE r.place = s.place ORDER BY r.number)
    FROM storable s WHERE s.key IS NOT NULL
    -- In one order, so that two transactions don't wait for each other.
    ORDER BY s.tenant_id, s.keyed_by, s.key
    ON CONFLICT DO NOTHING
    RETURNING tenant_id, event, key
), fresh AS MATERIALIZED (
    SELECT s.* FROM storable s
    WHERE s.key IS NULL OR EXISTS (SELECT FROM taken k WHERE k.tenant_id = s.tenant_id AND k.event = s.keyed_by AND k.key = s.key)
), stored AS (
    INSERT INTO cgk_jobs.runs (seq, nonce, event_seq, due_at, expires_at, created_at, event_version, rank, lane, tenant_id, task,
        queue, state, event_name, payload, tags, direct, arriving)
    SELECT r.seq, f.nonce, f.base, coalesce(f.due_at, c.now),
        coalesce(f.due_at, c.now) + round((coalesce(f.expires, r.expires) * 1000000)::numeric)::bigint, c.now, f.version, r.rank,
        coalesce(f.lane, r.lane), f.tenant_id, r.task, r.queue, 'scheduled', f.name, f.payload, concat_ws(',', nullif(r.tags, ''),
        nullif(f.tags, '')), f.task IS NOT NULL OR f.due_at IS NOT NULL, r.flow <> ''
    FROM fresh f JOIN runs r ON r.place = f.place CROSS JOIN current c
), tagged AS (
    INSERT INTO cgk_jobs.run_tags (run_seq, tenant_id, tag)
    SELECT r.seq, f.tenant_id, g.tag
    FROM fresh f JOIN runs r ON r.place = f.place CROSS JOIN string_to_array(nullif(f.tags, ''), ',') AS a (tags)
    CROSS JOIN unnest(a.tags) AS g (tag)
    ON CONFLICT DO NOTHING
), unrouted AS (
    INSERT INTO cgk_jobs.unrouted_events (seq, nonce, created_at, version, tenant_id, name, payload, arriving)
    SELECT f.base, f.nonce, c.now, f.version, f.tenant_id, f.name, f.payload, f.due_at IS NULL FROM fresh f CROSS JOIN current c WHERE NOT f.heard
)
SELECT (SELECT json_agg(json_build_array(f.place, f.base, ARRAY(SELECT r.seq FROM runs r WHERE r.place = f.place ORDER BY r.number)))
    FROM fresh f)::pg_catalog.text
