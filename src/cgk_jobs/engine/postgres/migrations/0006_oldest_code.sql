-- Oldest code: schema 5. Code of an older release that may work with the ledger, so that a deploy need not stop everything.
ALTER TABLE cgk_jobs.migrations ADD oldest_code integer;    -- NULL: none is older than the migration
