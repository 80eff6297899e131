"""The database the guards are tried on, and what can go wrong on a connection."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.tenant_token import READ_KEY, SignedTenant, TenantTokens
from cgk_jobs.tenancy import Guard, PlainSetting, TenantRows, TenantSchemas

TENANTS = ("acme", "other-1")
GUARDS = ("schema", "plain", "signed")
TABLES = {"schema": "orders", "plain": "orders_plain", "signed": "orders_signed"}
LONG_TENANT = "a" * 63


@dataclass(frozen=True)
class Shop:
    """``url`` is the login of the application, ``tokens`` the signer of the ledger in the same database."""

    url: str
    admin_url: str
    tokens: TenantTokens

    def guard(self, kind: str) -> Guard:
        """A guard of that kind, as an application makes it."""
        if kind == "schema":
            return TenantSchemas()
        return TenantRows(PlainSetting()) if kind == "plain" else TenantRows(SignedTenant(self.tokens))


def notes(kind: str) -> str:
    """The statement that reads what a tenant has; the other tenants' rows are in the same table or another schema."""
    return f"SELECT note FROM {TABLES[kind]} ORDER BY note"


def expected(tenant: str) -> list[str]:
    """What a tenant has."""
    return [f"first of {tenant}", f"second of {tenant}"]


def make_shop(ledger: LedgerDatabase) -> Shop:
    """Tables and rows, by the SQL the guards give."""
    login = urlsplit(ledger.tenant_url).username or ""
    with psycopg.connect(ledger.worker_url) as worker:
        row = worker.execute(READ_KEY.encode()).fetchone()
        assert row is not None
        tokens = TenantTokens(bytes(row[0]), bytes(row[1]))
    schemas = TenantSchemas()
    with psycopg.connect(ledger.admin_url, autocommit=True) as admin:

        def run(text: str) -> None:
            admin.execute(text.encode())

        for tenant in (*TENANTS, LONG_TENANT):
            schema = schemas.schema_of(tenant)
            run(schemas.create_sql(tenant, login))
            run(f'CREATE TABLE "{schema}".orders (note text)')
            run(f'GRANT SELECT, INSERT ON "{schema}".orders TO "{login}"')
            for note in expected(tenant):
                run(f"INSERT INTO \"{schema}\".orders VALUES ('{note}')")
        for table, rows in (("orders_plain", TenantRows()), ("orders_signed", TenantRows(SignedTenant(tokens)))):
            run(f"CREATE TABLE {table} (tenant_id text NOT NULL, note text)")
            run(f'GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO "{login}"')
            for tenant in TENANTS:
                for note in expected(tenant):
                    run(f"INSERT INTO {table} VALUES ('{tenant}', '{note}')")
            run(rows.table_sql(f"public.{table}"))
    return Shop(ledger.tenant_url, ledger.admin_url, tokens)
