"""A ledger with the rows of two tenants, and sessions of the tenants' login, as a handler's database connection would be one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from tests.reliability.injections import OUTSIDE
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.tenant_token import (
    CHALLENGE,
    READ_KEY,
    TenantTokens,
    bind_statement,
    check_bound,
)

__all__ = ["BIND", "SECRET", "TABLES", "Session", "World"]

SECRET = "SECRET"
BIND = bind_statement("%s")
TABLES = (
    "runs", "finished_runs", "run_tags", "steps", "attempts", "run_logs", "unrouted_events", "idempotency_keys", "jumps", "ticks",
    "limits", "tenants", "tenant_quotas", "quota_counters", "event_waits", "event_marks", "throttles",
    "wakeups",
)  # fmt: skip
"""Everything with rows of tenants."""


class World:
    """A ledger in which ``owner`` has secrets and ``attacker`` has rows of its own."""

    def __init__(self, database: LedgerDatabase, owner: str = "victim") -> None:
        self.database = database
        self.owner = owner
        self.prefix = ""
        with psycopg.connect(database.admin_url) as connection:
            connection.execute(
                "INSERT INTO cgk_jobs.subscriptions (rank, lane, task, event, queue, tags) VALUES (0, 0, 'sync', 'x', 'default', '')"
            )
            for tenant, words, count in ((owner, SECRET, 40), ("attacker", "own", 3)):
                fill(connection, tenant, words, count)
            row = connection.execute(
                "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'cgk_jobs.runs'::regclass"
            )
            self.prefix = row.fetchall()[0][0].removesuffix("_owner")
        with psycopg.connect(database.admin_url, autocommit=True) as connection:
            connection.execute("ANALYZE")
        with psycopg.connect(database.worker_url) as connection:
            inner, outer = connection.execute(READ_KEY.encode()).fetchall()[0]
        self.tokens = TenantTokens(inner, outer)

    def rows(self, tenant: str | None = None) -> dict[str, list[str]]:
        """All rows of a tenant (all there are), as text, by table: read by the administrator."""
        found: dict[str, list[str]] = {}
        with psycopg.connect(self.database.admin_url) as connection:
            for table in TABLES:
                column = "id" if table == "tenants" else "tenant_id"
                rows = connection.execute(
                    f"SELECT t::text FROM cgk_jobs.{table} t WHERE %s IN ('', {column}) ORDER BY 1".encode(),
                    [tenant or ""],
                )
                found[table] = [row[0] for row in rows]
        return found

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A connection of the tenants' login."""
        session = Session(psycopg.connect(self.database.tenant_url), self.tokens)
        try:
            yield session
        finally:
            session.connection.close()


def fill(connection: psycopg.Connection[Any], tenant: str, words: str, count: int) -> None:
    """Give a tenant ``count`` rows in each table that has tenants."""
    for statement in (
        "INSERT INTO cgk_jobs.tenants (id, created_at, added) SELECT %(t)s, 1, true WHERE %(n)s > 0",
        "INSERT INTO cgk_jobs.runs (seq, nonce, event_seq, created_at, event_version, tenant_id, task, queue, state, event_name, "
        "payload) SELECT g, 1, g, 1, 1, %(t)s, 'sync', 'default', 'queued', 'x', %(w)s || '-run' FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.finished_runs (seq, nonce, event_seq, claim, created_at, finished_at, event_version, attempt, rank, lane, "
        "tenant_id, task, queue, state, event_name, payload, tags, result) SELECT g, 1, g, 1, 1, 5, 1, 1, 0, 0, %(t)s, 'sync', "
        "'default', 'completed', 'x', %(w)s || '-finished', '', %(w)s || '-result' FROM generate_series(100, 99 + %(n)s) g",
        "INSERT INTO cgk_jobs.run_tags SELECT g, %(t)s, %(w)s || '-tag' FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.steps SELECT g, 1, 1, %(t)s, 'step', %(w)s || '-step' FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.attempts SELECT g, 1, 1, 1, %(t)s, 'failed', %(w)s || '-error' FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.run_logs SELECT g, 1, 1, 1, %(t)s, 'info', %(w)s || '-log' FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.unrouted_events SELECT g, 1, 1, 1, %(t)s, 'x', %(w)s || '-event' FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.idempotency_keys SELECT g, 1, 9, %(t)s, 'x', 'k' || nullif(g, 1), %(w)s || '-key', '{1}' "
        "FROM generate_series(2, 1 + %(n)s) g",
        "INSERT INTO cgk_jobs.idempotency_keys SELECT 1, 1, 9, %(t)s, 'x', 'k', %(w)s || '-key', '{1}' WHERE %(n)s > 0",
        "INSERT INTO cgk_jobs.jumps SELECT g, 1, 1, %(t)s, %(w)s FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.tenant_quotas (tenant_id) SELECT %(t)s WHERE %(n)s > 0",
        "INSERT INTO cgk_jobs.quota_counters (tenant_id) SELECT %(t)s WHERE %(n)s > 0",
        "INSERT INTO cgk_jobs.event_waits SELECT g, %(t)s, 'x', 'order_id', %(w)s, 'step' FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.event_marks SELECT g, g, %(t)s, 'x', 'order_id', %(w)s FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.throttles SELECT g, 1, 9, %(t)s, %(w)s FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.wakeups (run_seq, run_nonce, due_at, issued_at, lane, tenant_id, id, task, queue, provider, reference) "
        "SELECT g, 1, 1, 1, 0, %(t)s, %(w)s || g, 'sync', 'default', 'vendor', %(w)s || '-reference' FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.ticks SELECT g, 1, 1, 1, %(t)s, %(w)s FROM generate_series(1, %(n)s) g",
        "INSERT INTO cgk_jobs.limits (capacity, tenant_id, key) SELECT 1, %(t)s, %(w)s || g FROM generate_series(1, %(n)s) g",
    ):
        connection.execute(statement, {"t": tenant, "w": words, "n": count})


class Session:
    """What a handler does and hears."""

    def __init__(self, connection: psycopg.Connection[Any], tokens: TenantTokens) -> None:
        self.connection = connection
        self.tokens = tokens
        self.heard: list[str] = []
        connection.add_notice_handler(lambda notice: self.heard.append(str(notice.message_primary)))
        connection.add_notify_handler(lambda notify: self.heard.append(str(notify)))

    def bind(self, tenant: str, *, allow_unsafe: bool = False) -> str:
        """Bind this transaction as the package does. Returns the token."""
        challenge = self.connection.execute(CHALLENGE.encode()).fetchall()[0]
        token = self.tokens.answer(tenant, challenge, allow_unsafe=allow_unsafe)
        check_bound(tenant, challenge, self.connection.execute(BIND.encode(), [token]).fetchall()[0])
        return token

    def run(self, script: str) -> None:
        """Run statements in one message, and hear whatever comes back: rows, data, notices, errors."""
        if script.startswith(OUTSIDE):
            self.connection.commit()
            self.connection.autocommit = True
            self.run(script.removeprefix(OUTSIDE))
            self.connection.autocommit = False
            return
        cursor = self.connection.cursor()
        try:
            if script.startswith("COPY") and "STDOUT" in script:
                with cursor.copy(script.encode()) as copy:
                    self.heard.extend(bytes(block).decode() for block in copy)
                return
            cursor.execute(script.encode())
            while True:
                if cursor.description is not None:
                    self.heard.extend(map(str, cursor.fetchall()))
                if not cursor.nextset():
                    break
        except psycopg.Error as error:
            diagnostic = error.diag
            self.heard.extend(
                str(part)
                for part in (error, diagnostic.message_detail, diagnostic.message_hint, diagnostic.context)
                if part
            )

    def look_everywhere(self) -> None:
        """Read every table, each in a savepoint."""
        for table in TABLES:
            if self.connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
                self.connection.rollback()
            self.run(f"SAVEPOINT look; SELECT * FROM cgk_jobs.{table}")
            self.run("ROLLBACK TO look")
