"""Names of tenants' schemas: quoted, within PostgreSQL's 63 bytes, and never one for two tenants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgk_jobs import InvalidEvent, NotConfigured
from cgk_jobs.tenancy import PLATFORM, Scope, TenantSchemas
from cgk_jobs.tenancy.guards.binding import Statement
from cgk_jobs.tenancy.guards.schemas import quote_identifier

IDS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True).filter(lambda text: text != PLATFORM)
PREFIXES = st.from_regex(r"[a-z_][a-z0-9_]{0,23}", fullmatch=True).filter(lambda text: not text.startswith("pg_"))
ALIKE = "a" * 62

BAD_IDS: list[Any] = [
    "", " ", "A", "a b", 'a"b', "a;DROP SCHEMA public", "a.b", "a'", "a\0", "-a", "_a", "ä", "a" * 64, None, 5,
]  # fmt: skip


@given(PREFIXES, IDS)
def test_a_name_fits(prefix: str, tenant_id: str) -> None:
    name = TenantSchemas(prefix).schema_of(tenant_id)
    assert len(name.encode()) <= 63
    assert name.startswith(prefix)
    assert '"' not in name
    assert quote_identifier(name) == f'"{name}"'


@given(PREFIXES, st.sets(IDS, min_size=2, max_size=8))
def test_no_two_tenants_share_a_name(prefix: str, tenant_ids: set[str]) -> None:
    schemas = TenantSchemas(prefix)
    assert len({schemas.schema_of(tenant_id) for tenant_id in tenant_ids}) == len(tenant_ids)


def test_long_ids_that_begin_alike_have_names_of_their_own() -> None:
    schemas = TenantSchemas()
    names = {schemas.schema_of(ALIKE + letter) for letter in "abcdefghij0123456789_-"}
    assert len(names) == 22
    # The short name that PostgreSQL would have cut them to belongs to nobody else.
    assert all("~" in name for name in names)
    assert schemas.schema_of("a" * 56) == "tenant_" + "a" * 56


@pytest.mark.parametrize("tenant_id", BAD_IDS, ids=repr)
def test_what_is_no_tenant_id_has_no_schema(tenant_id: Any) -> None:
    with pytest.raises(InvalidEvent):
        TenantSchemas().schema_of(tenant_id)
    with pytest.raises(InvalidEvent):
        next(TenantSchemas().bind(Scope(tenant_id or "")))


@pytest.mark.parametrize("prefix", ["T_", "1_", "a b", 'a"', "a-", "pg_", "pg_x", "a;", "ä", "a" * 25])
def test_a_prefix_that_could_not_begin_a_name_is_refused(prefix: str) -> None:
    with pytest.raises(NotConfigured, match="prefix"):
        TenantSchemas(prefix)


@pytest.mark.parametrize("tenant_id", ["public", "pg_catalog", "pg_temp", "information_schema", "common_things"])
def test_without_a_prefix_names_of_others_are_refused(tenant_id: str) -> None:
    with pytest.raises(InvalidEvent, match="prefix"):
        TenantSchemas("", shared=("common_things",)).schema_of(tenant_id)
    assert TenantSchemas("").schema_of("acme") == "acme"
    assert TenantSchemas("x_").schema_of(tenant_id) == f"x_{tenant_id}"


@pytest.mark.parametrize("shared", ["public", ("$user",), ("pg_temp",), ("",), ("a\0",), ("a" * 64,)])
def test_schemas_that_tenants_can_not_share_are_refused(shared: Any) -> None:
    with pytest.raises(NotConfigured):
        TenantSchemas(shared=shared)


def test_the_path_has_the_tenants_schema_the_shared_ones_and_temporary_tables_last() -> None:
    schemas = TenantSchemas(shared=("public", 'a"b'))
    statement = next(schemas.bind(Scope("acme-1")))
    assert statement.values == ('"tenant_acme-1", "public", "a""b", pg_temp', "tenant_acme-1")
    assert next(schemas.bind(Scope(PLATFORM))).values[1] == "tenant_platform"
    (across,) = schemas.bind(Scope(None, "a test"))
    assert across == Statement("SELECT pg_catalog.set_config('search_path', $1, true)", ('"public", "a""b", pg_temp',))


def test_the_sql_for_the_owner() -> None:
    assert TenantSchemas().create_sql("acme", 'lo"gin') == (
        'CREATE SCHEMA IF NOT EXISTS "tenant_acme";\n'
        'REVOKE ALL ON SCHEMA "tenant_acme" FROM PUBLIC;\n'
        'GRANT USAGE ON SCHEMA "tenant_acme" TO "lo""gin";\n'
    )
    assert TenantSchemas().login_sql("app") == "ALTER ROLE \"app\" SET search_path = '';\n"
