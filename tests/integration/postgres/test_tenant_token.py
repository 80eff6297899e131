"""Signed bindings as the package's guards use them, also for tables of the application's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.tenant_token import (
    CHALLENGE,
    READ_KEY,
    Challenge,
    SignedTenant,
    TenantTokens,
    bind_statement,
    check_bound,
)
from cgk_jobs.errors import InvalidEvent, NotConfigured, ProviderUnavailable, TenantRequired
from cgk_jobs.tenancy.context import Scope
from cgk_jobs.tenancy.guards.binding import Row, Statement, percent_style, run
from cgk_jobs.tenancy.guards.rows import TenantRows

STRANGER = TenantTokens(b"i" * 64, b"o" * 64)
"""Has another key than any database."""


@pytest.fixture
def tokens(postgres_database: LedgerDatabase) -> TenantTokens:
    with psycopg.connect(postgres_database.worker_url) as connection:
        inner, outer = connection.execute(READ_KEY.encode()).fetchall()[0]
    return TenantTokens(inner, outer)


@pytest.fixture
def handler(postgres_database: LedgerDatabase) -> Iterator[psycopg.Connection[Any]]:
    """A connection as handlers get it."""
    with psycopg.connect(postgres_database.tenant_url) as connection:
        yield connection


def bind(rows: TenantRows, connection: psycopg.Connection[Any], tenant_id: str | None) -> None:
    def execute(statement: Statement) -> Row | None:
        text = percent_style(statement.text) if statement.values else statement.text
        row: Row | None = connection.execute(text.encode(), statement.values or None).fetchone()
        return row

    run(rows.bind(Scope(tenant_id, "")), execute)


def test_a_table_of_the_application_stands_behind_the_same_wall(
    postgres_database: LedgerDatabase, tokens: TenantTokens, handler: psycopg.Connection[Any]
) -> None:
    rows = TenantRows(SignedTenant(tokens), bound=SignedTenant.bound)
    with psycopg.connect(postgres_database.admin_url) as admin:
        admin.execute("CREATE TABLE orders (tenant_id text, id integer, PRIMARY KEY (tenant_id, id))")
        admin.execute(rows.table_sql("orders").encode())
        admin.execute("GRANT SELECT, INSERT ON orders TO PUBLIC")
        admin.execute("INSERT INTO orders VALUES ('acme', 1), ('bolt', 2), ('bolt', 3)")
    for tenant_id, ids in (("acme", [1]), ("bolt", [2, 3])):
        bind(rows, handler, tenant_id)
        assert [row[0] for row in handler.execute("SELECT id FROM orders ORDER BY id")] == ids
        handler.execute("SAVEPOINT a")
        handler.execute("SELECT set_config('cgk_jobs.token', 'bolt:0', true)")
        assert handler.execute("SELECT id FROM orders").fetchall() == []
        handler.commit()
        assert handler.execute("SELECT id FROM orders").fetchall() == []
        handler.commit()


def test_another_key_binds_nothing(handler: psycopg.Connection[Any]) -> None:
    with pytest.raises(NotConfigured, match="did not let tenant 'acme' be bound"):
        bind(TenantRows(SignedTenant(STRANGER), bound=SignedTenant.bound), handler, "acme")
    handler.rollback()
    challenge = handler.execute(CHALLENGE.encode()).fetchall()[0]
    token = STRANGER.answer("acme", challenge)
    bound = handler.execute(bind_statement("%s").encode(), [token]).fetchall()[0]
    with pytest.raises(ProviderUnavailable, match="key has been changed"):
        check_bound("acme", challenge, bound)


@pytest.mark.parametrize("part", ["pid", "started", "database"])
def test_each_part_of_what_is_signed_counts(part: str, tokens: TenantTokens, handler: psycopg.Connection[Any]) -> None:
    challenge = Challenge(*handler.execute(CHALLENGE.encode()).fetchall()[0])
    for asked, bound in ((challenge, "acme"), (challenge._replace(**{part: getattr(challenge, part) + 1}), None)):
        token = tokens.answer("acme", asked)
        assert handler.execute(bind_statement("%s").encode(), [token]).fetchall()[0][2] == bound


def test_the_installation_itself_can_be_bound_and_nothing_that_is_no_tenant(
    tokens: TenantTokens, handler: psycopg.Connection[Any]
) -> None:
    challenge = handler.execute(CHALLENGE.encode()).fetchall()[0]
    assert tokens.answer("platform", challenge).startswith("platform:")
    for wrong in ("a:b", "a|b", "A", "é", "a" * 64):
        with pytest.raises(InvalidEvent):
            tokens.answer(wrong, challenge)
    with pytest.raises(TenantRequired):
        tokens.answer("", challenge)


def test_the_key_is_not_shown(tokens: TenantTokens) -> None:
    assert repr(tokens) == "<TenantTokens>"
    assert repr(SignedTenant(tokens)).count("\\x") == 0
    with pytest.raises(NotConfigured, match="damaged"):
        TenantTokens(b"short", b"o" * 64)


def test_every_ledger_has_a_key_of_its_own(postgres_database: LedgerDatabase, postgres_server: Any) -> None:
    import asyncio

    from cgk_jobs.engine.postgres.migrate import apply
    from cgk_jobs.engine.postgres.roles import Roles

    name = postgres_server.empty_database()
    asyncio.run(apply(postgres_server.address(name), roles=Roles("cgk_jobs_keys")))
    keys: set[bytes] = set()
    for url in (postgres_server.address(name), postgres_database.admin_url):
        with psycopg.connect(url) as connection:
            keys.update(connection.execute(READ_KEY.encode()).fetchall()[0])
    postgres_server.drop(name)
    for part in ("owner", "worker", "tenant"):
        postgres_server.execute("DROP ROLE {}", f"cgk_jobs_keys_{part}")
    assert len(keys) == 4
