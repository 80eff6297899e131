-- Of the bound tenant alone. False: the attempt lost its run, or the step is finished already.
SELECT cgk_jobs.record_step($1::pg_catalog.text::bigint, $2::pg_catalog.text::bigint, $3::pg_catalog.text, $4::pg_catalog.text,
    $5::pg_catalog.text::bigint, $6::pg_catalog.text::integer, $7::pg_catalog.text::boolean, $8::pg_catalog.text::boolean,
    $9::pg_catalog.text::boolean, $10::pg_catalog.text::integer)
