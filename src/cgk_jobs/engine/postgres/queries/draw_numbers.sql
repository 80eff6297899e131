-- Numbers for events and their runs, eight at a draw, and the moment.
SELECT coalesce($1::bigint, (extract(epoch FROM at) * 1000000)::bigint) AS now,
    (coalesce($1::bigint / 1000 + (n >> 15), (date_part('epoch', at) * 1000)::bigint) << 15) | (n & 32767) AS base
FROM (SELECT nextval('cgk_jobs.numbers') * 8 AS n, clock_timestamp() AS at FROM generate_series(1, $2::integer)) AS drawn
