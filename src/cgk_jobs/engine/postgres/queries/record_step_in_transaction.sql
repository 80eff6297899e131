-- Of the bound tenant. Every value comes as text, which all drivers send alike.
SELECT cgk_jobs.record_step($1::pg_catalog.text::bigint, $2::pg_catalog.text::bigint, $3::pg_catalog.text, $4::pg_catalog.text,
    $5::pg_catalog.text::integer, $6::pg_catalog.text::boolean, $7::pg_catalog.text::boolean, $8::pg_catalog.text::boolean,
    $9::pg_catalog.text::bigint)
