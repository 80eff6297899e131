INSERT INTO cgk_jobs.subscriptions (task, event, queue, rank, lane, expires, tags, flow)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::double precision[], $7::text[], $8::text[])
ON CONFLICT (task) DO UPDATE SET event = excluded.event, queue = excluded.queue, rank = excluded.rank, lane = excluded.lane,
    expires = excluded.expires, tags = excluded.tags, flow = excluded.flow
