-- One lock for each bucket of names, in the order of the buckets. 1668050538 ("cgkj") keeps them apart from anybody else's.
SELECT pg_advisory_xact_lock(1668050538, bucket) FROM (
    SELECT DISTINCT (hashtextextended(name, 0) & ($2::integer - 1))::integer AS bucket FROM unnest($1::text[]) AS n (name) ORDER BY 1
) AS wanted
