"""What a schema consists of, as lines that can be compared."""

from __future__ import annotations

from typing import Any

import psycopg

_QUESTIONS = (
    "SELECT 'relation', relname, relkind::text, relowner::regrole::text, relrowsecurity, relforcerowsecurity, relispartition, reloptions, "
    "relacl::text, pg_get_expr(relpartbound, oid) FROM pg_class WHERE relnamespace = 'cgk_jobs'::regnamespace",
    "SELECT 'column', attrelid::regclass::text, attname, atttypid::regtype::text, attnotnull, attidentity::text, attacl::text, "
    "coalesce(nullif(attstattarget, -1)::integer, -1), pg_get_expr(adbin, adrelid) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
    "WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'cgk_jobs'::regnamespace)",
    "SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'cgk_jobs'::regnamespace",
    "SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'cgk_jobs'",
    "SELECT 'policy', polrelid::regclass::text, polname, polcmd::text, polpermissive, polroles::regrole[]::text, pg_get_expr(polqual, polrelid), "
    "pg_get_expr(polwithcheck, polrelid) FROM pg_policy",
    "SELECT 'function', oid::regprocedure::text, proowner::regrole::text, pg_get_functiondef(oid), proacl::text FROM pg_proc "
    "WHERE pronamespace = 'cgk_jobs'::regnamespace",
    "SELECT 'sequence', seqrelid::regclass::text, seqstart, seqmin, seqmax FROM pg_sequence",
    "SELECT 'schema', nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace WHERE nspname = 'cgk_jobs'",
    "SELECT 'default', defaclrole::regrole::text, defaclnamespace, defaclobjtype::text, defaclacl::text FROM pg_default_acl",
    "SELECT 'migration', version, name, checksum FROM cgk_jobs.migrations",
)


def dump(url: str) -> list[str]:
    """Everything in the schema ``cgk_jobs``; empty if there is none."""
    with psycopg.connect(url) as connection:
        if connection.execute("SELECT to_regnamespace('cgk_jobs')").fetchall() == [(None,)]:
            return []
        rows: list[tuple[Any, ...]] = []
        for question in _QUESTIONS:
            rows += connection.execute(question).fetchall()
    return sorted(map(str, rows))
