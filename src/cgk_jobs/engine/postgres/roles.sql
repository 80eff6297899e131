-- What comes before the first migration, run by the administrator: three roles, the schema, and the record of migrations.
-- Nobody logs in as these roles; logins become members of one of them. Roles belong to the whole cluster, so each is made
-- only where it is missing.
DO $$
DECLARE
    wanted text;
    may_become text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['cgk_jobs_owner', 'cgk_jobs_worker', 'cgk_jobs_tenant'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', wanted);
        END IF;
    END LOOP;
    -- Migrations are run as the owner, which whoever runs them must be able to become.
    IF NOT pg_catalog.pg_has_role('cgk_jobs_owner', may_become) THEN
        EXECUTE format('GRANT cgk_jobs_owner TO %I', current_user);
    END IF;
    IF to_regnamespace('cgk_jobs') IS NULL THEN
        CREATE SCHEMA cgk_jobs AUTHORIZATION cgk_jobs_owner;
    ELSIF (SELECT nspowner::regrole::text FROM pg_catalog.pg_namespace WHERE nspname = 'cgk_jobs') <> 'cgk_jobs_owner' THEN
        RAISE EXCEPTION 'schema cgk_jobs is there already, and not owned by cgk_jobs_owner' USING ERRCODE = 'duplicate_schema';
    END IF;
END $$;
SET LOCAL ROLE cgk_jobs_owner;
CREATE TABLE IF NOT EXISTS cgk_jobs.migrations (
    version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
    applied_at bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
);
