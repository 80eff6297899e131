"""S33: the scan of the catalogue is silent on a fresh ledger, and names each hole that is made in its wall."""

from __future__ import annotations

import psycopg
import pytest
from tests.servers.ledgers import Ledgers
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres.catalogue import Problem, scan
from cgk_jobs.engine.postgres.database import Database
from cgk_jobs.engine.postgres.roles import Roles

HOLES = {
    "row security is not enabled": "ALTER TABLE cgk_jobs.steps DISABLE ROW LEVEL SECURITY",
    "row security does not hold for its owner": "ALTER TABLE cgk_jobs.runs NO FORCE ROW LEVEL SECURITY",
    "row security is not enabled#partition": "ALTER TABLE cgk_jobs.finished_runs_other DISABLE ROW LEVEL SECURITY",
    "row security is not enabled#new table": "CREATE TABLE cgk_jobs.extra (x integer)",
    "it belongs to": "CREATE TABLE cgk_jobs.extra (x integer)",
    "a view reads with its owner's rights": "CREATE VIEW cgk_jobs.all_runs AS SELECT * FROM cgk_jobs.runs",
    "a materialized view has no row security": "CREATE MATERIALIZED VIEW cgk_jobs.copy AS SELECT * FROM cgk_jobs.runs",
    "policy open is for PUBLIC": "CREATE POLICY open ON cgk_jobs.runs USING (true)",
    "policy open does not hold to the bound tenant": "CREATE POLICY open ON cgk_jobs.runs FOR SELECT TO {tenant} USING (true)",
    "policy open does not hold to the bound tenant#or": "CREATE POLICY open ON cgk_jobs.steps FOR SELECT TO {tenant} "
    "USING (tenant_id = (SELECT cgk_jobs.bound_tenant()) OR place = 1)",
    "policy open does not hold to the bound tenant#null": "CREATE POLICY open ON cgk_jobs.steps FOR SELECT TO {tenant} "
    "USING (tenant_id = coalesce((SELECT cgk_jobs.bound_tenant()), tenant_id))",
    "policy open does not hold to the bound tenant#insert": "CREATE POLICY open ON cgk_jobs.runs FOR INSERT TO {tenant} WITH CHECK (true)",
    "policy tenant_reads does not hold to the bound tenant": "ALTER POLICY tenant_reads ON cgk_jobs.run_logs USING (true)",
    "policy tenant_reads does not hold to the bound tenant#setting": "ALTER POLICY tenant_reads ON cgk_jobs.run_logs "
    "USING (tenant_id = current_setting('cgk_jobs.token', true))",
    "policy open lets tenants change or remove rows": "CREATE POLICY open ON cgk_jobs.runs FOR UPDATE TO {tenant} "
    "USING (tenant_id = (SELECT cgk_jobs.bound_tenant()))",
    "policy open opens it to the owner's functions": "CREATE POLICY open ON cgk_jobs.runs TO {owner} USING (true)",
    "no policy lets the worker in": "DROP POLICY worker_all ON cgk_jobs.runs",
    "tenants can't read their rows": "DROP POLICY tenant_reads ON cgk_jobs.attempts",
    "tenants can't send": "DROP POLICY tenant_sends ON cgk_jobs.run_tags",
    "PUBLIC has SELECT": "GRANT SELECT ON cgk_jobs.subscriptions TO PUBLIC",
    "PUBLIC has USAGE": "GRANT USAGE ON SCHEMA cgk_jobs TO PUBLIC",
    "PUBLIC has EXECUTE": "GRANT EXECUTE ON FUNCTION cgk_jobs.drop_days(bigint) TO PUBLIC",
    "PUBLIC has EXECUTE#new function": "CREATE FUNCTION cgk_jobs.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "{tenant} has TRUNCATE": "GRANT TRUNCATE ON cgk_jobs.runs TO {tenant}",
    "{worker} has TRUNCATE": "GRANT TRUNCATE ON cgk_jobs.runs TO {worker}",
    "{tenant} has REFERENCES": "GRANT REFERENCES ON cgk_jobs.runs TO {tenant}",
    "{tenant} has TRIGGER": "GRANT TRIGGER ON cgk_jobs.runs TO {tenant}",
    "{tenant} has UPDATE": "GRANT UPDATE ON cgk_jobs.runs TO {tenant}",
    "{tenant} has UPDATE#column": "GRANT UPDATE (payload) ON cgk_jobs.runs TO {tenant}",
    "{tenant} has DELETE": "GRANT DELETE ON cgk_jobs.idempotency_keys TO {tenant}",
    "{tenant} has SELECT#partition": "GRANT SELECT ON cgk_jobs.finished_runs_other TO {tenant}",
    "{tenant} has SELECT#key": "GRANT SELECT ON cgk_jobs.tenant_key TO {tenant}",
    "{tenant} has SELECT#sequence": "GRANT SELECT ON SEQUENCE cgk_jobs.numbers TO {tenant}",
    "{worker} has UPDATE": "GRANT UPDATE ON cgk_jobs.tenant_key TO {worker}",
    "{tenant} has CREATE": "GRANT CREATE ON SCHEMA cgk_jobs TO {tenant}",
    "{tenant} has EXECUTE": "GRANT EXECUTE ON FUNCTION cgk_jobs.make_days(integer) TO {tenant}",
    "{tenant} may pass SELECT on": "GRANT SELECT ON cgk_jobs.runs TO {tenant} WITH GRANT OPTION",
    "{tenant} lacks SELECT": "REVOKE SELECT ON cgk_jobs.runs FROM {tenant}",
    "{worker} lacks EXECUTE": "REVOKE EXECUTE ON FUNCTION cgk_jobs.make_days(integer) FROM {worker}",
    "{tenant} has SELECT#default": "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA cgk_jobs GRANT SELECT ON TABLES TO {tenant}",
    "its search_path is not fixed": "ALTER FUNCTION cgk_jobs.bound_tenant() RESET search_path",
    "its search_path is not fixed#order": "ALTER FUNCTION cgk_jobs.bound_tenant() SET search_path = public, pg_catalog",
    "it is missing": "DROP FUNCTION cgk_jobs.drop_days(bigint)",
    "by_number is unique across tenants": "CREATE UNIQUE INDEX by_number ON cgk_jobs.runs (seq)",
    "by_number is unique across tenants#included": "CREATE UNIQUE INDEX by_number ON cgk_jobs.steps (run_seq) INCLUDE (tenant_id)",
    "the foreign key reach reaches across tenants": "ALTER TABLE cgk_jobs.steps ADD CONSTRAINT reach FOREIGN KEY (name) "
    "REFERENCES cgk_jobs.tenants (id)",
    "the trigger watch runs": "CREATE TRIGGER watch BEFORE UPDATE ON cgk_jobs.runs FOR EACH ROW "
    "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "the rule watch runs": "CREATE RULE watch AS ON INSERT TO cgk_jobs.steps DO ALSO NOTIFY x",
    "PostgreSQL keeps samples of it": "ALTER TABLE cgk_jobs.runs ALTER payload SET STATISTICS 10",
}
"""What is said of a hole (up to a #), and how it is made."""

ROLE_HOLES = {
    "one can log in as it": ("ALTER ROLE {tenant} LOGIN", "ALTER ROLE {tenant} NOLOGIN"),
    "row security does not hold for it": ("ALTER ROLE {worker} BYPASSRLS", "ALTER ROLE {worker} NOBYPASSRLS"),
    "row security does not hold for it#login": ("ALTER ROLE {login} BYPASSRLS", "ALTER ROLE {login} NOBYPASSRLS"),
    "is a member of {worker}": ("GRANT {worker} TO {login}", "REVOKE {worker} FROM {login}"),
    "is a member of {owner}": ("GRANT {owner} TO {tenant}", "REVOKE {owner} FROM {tenant}"),
    "is a member of pg_read_all_stats": ("GRANT pg_read_all_stats TO {login}", "REVOKE pg_read_all_stats FROM {login}"),
    "is a member of pg_read_server_files": (
        "GRANT pg_read_server_files TO {login}",
        "REVOKE pg_read_server_files FROM {login}",
    ),
    "may make roles": ("ALTER ROLE {login} CREATEROLE", "ALTER ROLE {login} NOCREATEROLE"),
}
"""Roles are the whole server's, so these are mended again."""


@pytest.fixture(scope="module")
def names(postgres_ledgers: Ledgers) -> dict[str, str]:
    roles: Roles = postgres_ledgers.roles
    return {
        "{owner}": roles.owner,
        "{worker}": roles.worker,
        "{tenant}": roles.tenant,
        "{login}": f"{roles.tenant}_login",
    }


@pytest.fixture
def ledger(postgres_database: LedgerDatabase) -> LedgerDatabase:
    return postgres_database


def named(text: str, names: dict[str, str]) -> str:
    for mark, name in names.items():
        text = text.replace(mark, name)
    return text


async def scanned(url: str) -> list[Problem]:
    database = Database(url, SystemClock(), size=1, checks=())
    try:
        return await scan(database)
    finally:
        database.close()


def change(ledger: LedgerDatabase, statement: str) -> None:
    with psycopg.connect(ledger.admin_url, autocommit=True) as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize("which", ["admin_url", "worker_url"])
async def test_a_fresh_ledger_has_nothing_to_report(which: str, ledger: LedgerDatabase) -> None:
    assert [problem for problem in await scanned(getattr(ledger, which)) if problem.severe] == []
    change(ledger, "SELECT cgk_jobs.make_days(3)")
    assert [problem for problem in await scanned(getattr(ledger, which)) if problem.severe] == []


@pytest.mark.parametrize("what", HOLES)
async def test_a_hole_is_named_with_its_remedy(what: str, ledger: LedgerDatabase, names: dict[str, str]) -> None:
    change(ledger, named(HOLES[what], names))
    found = [problem for problem in await scanned(ledger.worker_url) if problem.severe]
    wanted = named(what.partition("#")[0], names)
    assert any(wanted in problem.what for problem in found), found
    assert all(problem.remedy for problem in found)


@pytest.mark.parametrize("what", ROLE_HOLES)
async def test_a_hole_in_the_roles_is_named(what: str, ledger: LedgerDatabase, names: dict[str, str]) -> None:
    make, mend = (named(statement, names) for statement in ROLE_HOLES[what])
    try:
        change(ledger, make)
        found = await scanned(ledger.worker_url)
    finally:
        change(ledger, mend)
    wanted = named(what.partition("#")[0], names)
    assert any(problem.severe and wanted in problem.what for problem in found), found
    assert not any(problem.severe for problem in await scanned(ledger.worker_url))


async def test_remedies_that_are_statements_mend(ledger: LedgerDatabase, names: dict[str, str]) -> None:
    for what in (
        "row security is not enabled",
        "row security does not hold for its owner",
        "{tenant} has TRUNCATE",
        "{tenant} has UPDATE#column",
        "{tenant} has SELECT#sequence",
        "{tenant} lacks SELECT",
        "PUBLIC has EXECUTE",
        "its search_path is not fixed",
        "a view reads with its owner's rights",
        "PostgreSQL keeps samples of it",
    ):
        change(ledger, named(HOLES[what], names))
    found = [problem for problem in await scanned(ledger.admin_url) if problem.severe]
    assert len(found) >= 10
    for problem in found:
        for statement in filter(None, problem.remedy.split("; ")):
            change(ledger, statement)
    assert [problem for problem in await scanned(ledger.admin_url) if problem.severe] == []


async def test_advice_is_told_apart_from_faults(ledger: LedgerDatabase, names: dict[str, str]) -> None:
    change(ledger, named("CREATE SCHEMA shop; GRANT CREATE ON SCHEMA shop TO {tenant}", names))
    found = [problem for problem in await scanned(ledger.worker_url) if "schema shop" in problem.what]
    assert found
    assert not any(problem.severe for problem in found)


async def test_no_ledger_is_said(ledger: LedgerDatabase) -> None:
    change(ledger, "DROP SCHEMA cgk_jobs CASCADE")
    (problem,) = await scanned(ledger.admin_url)
    assert "cgk jobs schema apply" in problem.remedy
