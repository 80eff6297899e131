-- A number no event had before this moment, with a second to spare for a clock that was set back.
INSERT INTO cgk_jobs.awaited_events (since_seq, event, fields)
VALUES ((coalesce($1::bigint / 1000, (date_part('epoch', clock_timestamp()) * 1000)::bigint) + 1000) << 15, $2, $3)
ON CONFLICT DO NOTHING
