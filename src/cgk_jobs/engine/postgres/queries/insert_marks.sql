-- Answers with those that were not there: an event of the application's own transaction arrives once, whoever comes to it first.
INSERT INTO cgk_jobs.event_marks (tenant_id, event, fields, wanted, event_seq, run_seq)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
ON CONFLICT DO NOTHING
RETURNING tenant_id, event, fields, wanted, event_seq
