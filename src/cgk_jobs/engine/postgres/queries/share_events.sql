-- Senders of awaited events: none of these begins to be waited for until they have committed. One lock for each bucket of
-- tenants and events, in the order of the buckets; 1668050551 ("cgkw") keeps them apart from anybody else's.
SELECT pg_advisory_xact_lock_shared(1668050551, bucket) FROM (
    SELECT DISTINCT (hashtextextended(name, 0) & ($2::integer - 1))::integer AS bucket FROM unnest($1::text[]) AS n (name) ORDER BY 1
) AS wanted
