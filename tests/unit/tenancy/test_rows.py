"""What the guard for rows asks of the database, and the SQL for tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from cgk_jobs import NotConfigured
from cgk_jobs.tenancy import Guard, PlainSetting, Scope, TenantRows, row_security_sql
from cgk_jobs.tenancy.guards.binding import Row, Statement, percent_style, run, run_async

SET = "SELECT pg_catalog.set_config($1, $2, true)"


class Asking:
    """A binder that asks first."""

    bound = "shop.who()"
    question = "SELECT 41"

    def answer(self, row: Sequence[Any], tenant_id: str) -> tuple[str, Sequence[object]]:
        return "SELECT bind($1, $2)", [tenant_id, row[0] + 1]


def conversation(guard: Guard, scope: Scope, *answers: Row | None) -> list[Statement]:
    """What a guard asks, if it is answered so."""
    asked: list[Statement] = []
    left = list(answers)

    def execute(statement: Statement) -> Row | None:
        asked.append(statement)
        return left.pop(0)

    run(guard.bind(scope), execute)
    assert not left
    return asked


def test_the_role_is_looked_at_once_and_the_setting_set_each_time() -> None:
    rows = TenantRows()
    first = conversation(rows, Scope("acme"), None, ("acme",))
    assert "rolbypassrls" in first[0].text
    assert first[1:] == [Statement(SET, ("app.tenant_id", "acme"))]
    assert conversation(rows, Scope("other"), ("other",)) == [Statement(SET, ("app.tenant_id", "other"))]


def test_an_unsafe_role_is_refused_each_time() -> None:
    rows = TenantRows()
    for _ in range(2):
        with pytest.raises(NotConfigured, match=r"'postgres'.*BYPASSRLS"):
            conversation(rows, Scope("acme"), ("postgres",))
    assert len(conversation(TenantRows(unsafe_role=True), Scope("acme"), ("acme",))) == 1


def test_across_tenants_the_setting_is_emptied() -> None:
    scope = Scope(None, "a test")
    assert conversation(TenantRows(), scope, None, ("",))[1:] == [Statement(SET, ("app.tenant_id", ""))]
    assert len(conversation(TenantRows(Asking()), scope, None)) == 1


async def test_a_binder_that_asks() -> None:
    rows = TenantRows(Asking())
    expected = [Statement("SELECT 41"), Statement("SELECT bind($1, $2)", ("acme", 42))]
    assert conversation(rows, Scope("acme"), None, (41,), ("acme",))[1:] == expected
    asked = []

    async def execute(statement: Statement) -> Row | None:
        asked.append(statement)
        return (41,)

    await run_async(rows.bind(Scope("acme")), execute)
    assert asked == expected


def test_a_binding_that_was_not_taken_is_refused() -> None:
    for answers in ((None, None), (None, (41,), None)):
        with pytest.raises(NotConfigured, match="did not let tenant 'acme' be bound"):
            conversation(TenantRows(Asking()), Scope("acme"), *answers)


def test_the_sql_for_a_table() -> None:
    assert TenantRows().table_sql("shop.orders") == (
        'ALTER TABLE "shop"."orders" ENABLE ROW LEVEL SECURITY;\n'
        'ALTER TABLE "shop"."orders" FORCE ROW LEVEL SECURITY;\n'
        'CREATE POLICY tenant_rows ON "shop"."orders"\n'
        "    USING (\"tenant_id\" = (SELECT nullif(nullif(current_setting('app.tenant_id', true), ''), '')))\n"
        "    WITH CHECK (\"tenant_id\" = (SELECT nullif(nullif(current_setting('app.tenant_id', true), ''), '')));\n"
    )
    text = TenantRows(Asking()).table_sql("orders", column='own"er', platform_role="operators")
    assert '"own""er" = (SELECT nullif(shop.who(), \'\'))' in text
    assert (
        'CREATE POLICY platform_rows ON "orders" TO "operators"\n    USING ((SELECT nullif(shop.who(), \'\')) IS NULL)'
        in text
    )
    assert text == row_security_sql("orders", "shop.who()", column='own"er', platform_role="operators")
    assert TenantRows(Asking(), bound="shop.other()").bound == "shop.other()"


def test_a_binder_that_does_not_say_its_expression_needs_one() -> None:
    class Silent:
        question = ""

        def answer(self, row: Sequence[object], tenant_id: str) -> tuple[str, Sequence[object]]:
            return "SELECT 1", ()

    with pytest.raises(NotConfigured, match="bound="):
        TenantRows(Silent()).table_sql("orders")
    with pytest.raises(NotConfigured):
        TenantRows().table_sql("")


@pytest.mark.parametrize("name", ["tenant", "", "app.", ".x", "a.b.c", "app.tenant'id", "App.Tenant", "app.tenant id"])
def test_names_of_settings(name: str) -> None:
    with pytest.raises(NotConfigured, match="setting"):
        PlainSetting(name)


def test_statements_for_drivers_with_percent_signs() -> None:
    assert percent_style("SELECT $1, $2, 5 % 2") == "SELECT %s, %s, 5 %% 2"
    for text in ("SELECT $2, $1", "SELECT $1, $1", "SELECT $2"):
        with pytest.raises(NotConfigured, match="in order"):
            percent_style(text)
