-- Also of a ledger whose record does not have the last column yet.
SELECT version, name, checksum, (pg_catalog.to_jsonb(m) ->> 'oldest_code')::integer AS oldest_code FROM cgk_jobs.migrations m ORDER BY version
