"""Django's ORM on a database engine that follows the current tenant."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any
from urllib.parse import unquote, urlsplit

import django
import psycopg
import pytest
from django.conf import settings
from django.db import NotSupportedError, OperationalError, ProgrammingError, connections, models, transaction
from django.http import HttpRequest, HttpResponse
from tests.integration.tenancy.shop import GUARDS, TABLES, TENANTS, Shop, expected

from cgk_jobs import NotConfigured, TenantMismatch, TenantRequired, platform, tenant

FIRST, SECOND = TENANTS


def database(address: str, tenants: object, **more: Any) -> dict[str, Any]:
    parts = urlsplit(address)
    return {
        "ENGINE": "cgk_jobs.tenancy.guards.django",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "NAME": parts.path[1:],
        "USER": parts.username,
        "PASSWORD": unquote(parts.password or ""),
        "OPTIONS": {"tenants": tenants, **more.pop("OPTIONS", {})},
        **more,
    }


urlpatterns: list[Any] = []


@pytest.fixture(scope="module")
def configured(shop: Shop) -> Iterator[None]:
    databases = {kind: database(shop.url, shop.guard(kind), TIME_ZONE="Asia/Tokyo") for kind in GUARDS}
    databases["default"] = database(shop.url, "row", ATOMIC_REQUESTS=True)
    databases["pooled"] = database(shop.url, "row", OPTIONS={"pool": {"min_size": 1, "max_size": 1}})
    databases["nothing_said"] = {**database(shop.url, None), "OPTIONS": {}}
    settings.configure(DATABASES=databases, USE_TZ=True, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"])
    django.setup()

    class Order(models.Model):
        note: Any = models.TextField(primary_key=True)

        class Meta:
            app_label = "shop"
            managed = False

    MODELS["schema"] = Order
    for kind in ("plain", "signed"):
        MODELS[kind] = type(
            f"Order{kind}",
            (models.Model,),
            {
                "__module__": __name__,
                "note": models.TextField(primary_key=True),
                "tenant_id": models.TextField(),
                "Meta": type("Meta", (), {"app_label": "shop", "managed": False, "db_table": TABLES[kind]}),
            },
        )
    MODELS["schema"]._meta.db_table = TABLES["schema"]
    yield
    for alias in databases:
        if alias != "nothing_said":
            connections[alias].close()
    connections["pooled"].close_pool()  # type: ignore[attr-defined]


MODELS: dict[str, Any] = {}


def orders(kind: str, using: str | None = None) -> Any:
    return MODELS[kind].objects.using(using or kind).order_by("note")


@pytest.fixture(params=GUARDS)
def kind(request: pytest.FixtureRequest, configured: None) -> str:
    return str(request.param)


def look(kind: str, using: str | None = None) -> list[str]:
    return [order.note for order in orders(kind, using)]


def test_each_statement_belongs_to_the_current_tenant(kind: str) -> None:
    for name in (FIRST, SECOND, FIRST):
        with tenant(name):
            assert look(kind) == expected(name)
            assert orders(kind).count() == 2
            assert [order.note for order in orders(kind).iterator(chunk_size=1)] == expected(name)


def test_atomic(kind: str) -> None:
    for name in (FIRST, SECOND):
        with tenant(name), transaction.atomic(using=kind):
            assert look(kind) == expected(name)
            with pytest.raises(ZeroDivisionError), transaction.atomic(using=kind):  # noqa: PT012
                assert look(kind) == expected(name)
                raise ZeroDivisionError
            assert look(kind) == expected(name)
            assert [order.note for order in orders(kind).iterator(chunk_size=1)] == expected(name)


def test_without_a_tenant_no_query_runs(kind: str) -> None:
    with pytest.raises(TenantRequired):
        look(kind)
    with transaction.atomic(using=kind), pytest.raises(TenantRequired):
        look(kind)
    with pytest.raises(TenantRequired), connections[kind].cursor() as cursor:
        cursor.execute("SELECT 1")


def test_a_transaction_serves_one_tenant(kind: str) -> None:
    with transaction.atomic(using=kind):
        with tenant(FIRST):
            assert look(kind) == expected(FIRST)
        with tenant(SECOND), pytest.raises(TenantMismatch):
            look(kind)
        with platform(reason="a test"), pytest.raises(TenantMismatch):
            look(kind)
    with tenant(SECOND):
        assert look(kind) == expected(SECOND)


def test_transactions_by_hand(kind: str) -> None:
    connection = connections[kind]
    connection.set_autocommit(False)
    try:
        for end, name in ((connection.commit, FIRST), (connection.rollback, SECOND), (connection.rollback, FIRST)):
            with tenant(name):
                assert look(kind) == expected(name)
            end()
    finally:
        connection.set_autocommit(True)
    with tenant(SECOND):
        assert look(kind) == expected(SECOND)


def test_a_connection_closed_in_a_transaction_is_bound_anew(kind: str) -> None:
    with tenant(FIRST):
        with transaction.atomic(using=kind):
            assert look(kind) == expected(FIRST)
            connections[kind].close()
        with transaction.atomic(using=kind):
            assert look(kind) == expected(FIRST)


def test_nothing_stays_on_the_threads_connection(kind: str) -> None:
    pids = set()
    for name, other in ((FIRST, SECOND), (SECOND, FIRST)) * 3:
        with tenant(name), connections[kind].cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE left_behind AS SELECT 'secret' AS note")
            cursor.execute("DECLARE held CURSOR WITH HOLD FOR SELECT 'secret'")
            with pytest.raises(OperationalError, match="timeout"), transaction.atomic(using=kind):  # noqa: PT012
                cursor.execute("SET LOCAL statement_timeout = 1")
                cursor.execute("SELECT pg_sleep(30)")
        with tenant(other), transaction.atomic(using=kind), connections[kind].cursor() as cursor:
            cursor.execute(
                "SELECT pg_backend_pid(), to_regclass('pg_temp.left_behind'), (SELECT count(*) FROM pg_cursors)"
            )
            pid, table, cursors = cursor.fetchone()
            pids.add(pid)
            assert (table, cursors) == (None, 0)
            assert look(kind) == expected(other)
            cursor.execute("SHOW timezone")
            assert cursor.fetchone() == ("Asia/Tokyo",)
    assert len(pids) == 1


def test_a_killed_connection_is_replaced(kind: str, admin: psycopg.Connection) -> None:
    with tenant(FIRST):
        with pytest.raises(OperationalError), transaction.atomic(using=kind), connections[kind].cursor() as cursor:  # noqa: PT012
            cursor.execute("SELECT pg_backend_pid()")
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", cursor.fetchone())
            look(kind)
        connections[kind].close_if_unusable_or_obsolete()
    with tenant(SECOND):
        assert look(kind) == expected(SECOND)


def test_writing(configured: None) -> None:
    with tenant(FIRST):
        with pytest.raises(ProgrammingError, match="row-level security"):
            orders("signed").create(note="planted", tenant_id=SECOND)
        with pytest.raises(ZeroDivisionError), transaction.atomic(using="signed"):  # noqa: PT012
            orders("signed").create(note="third", tenant_id=FIRST)
            assert orders("signed").count() == 3
            raise ZeroDivisionError
        assert orders("signed").filter(tenant_id=SECOND).update(note="x") == 0
    with tenant(SECOND):
        assert look("signed") == expected(SECOND)


def test_copy_needs_a_transaction(kind: str) -> None:
    script = f"COPY (SELECT note FROM {TABLES[kind]} ORDER BY 1) TO STDOUT"
    with tenant(FIRST), connections[kind].cursor() as cursor:
        with pytest.raises(NotSupportedError, match="atomic"):
            cursor.copy(script)
        with transaction.atomic(using=kind), cursor.copy(script) as copy:
            assert b"".join(copy).decode().split("\n")[:-1] == expected(FIRST)
    with connections[kind].cursor() as cursor, pytest.raises(TenantRequired):
        cursor.copy(script)


def test_queries_that_are_logged_are_guarded_as_well(kind: str) -> None:
    connections[kind].force_debug_cursor = True
    try:
        with tenant(FIRST):
            assert look(kind) == expected(FIRST)
        with pytest.raises(TenantRequired):
            look(kind)
        assert any(TABLES[kind] in query["sql"] for query in connections[kind].queries)
    finally:
        connections[kind].force_debug_cursor = False


def test_atomic_requests(configured: None) -> None:
    """A middleware finds the tenant; the view runs in one transaction of it."""
    from django.core.handlers.base import BaseHandler
    from django.test import RequestFactory
    from django.urls import path

    seen: list[bool] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(connections["default"].in_atomic_block)
        return HttpResponse(",".join(look("plain", "default")))

    urlpatterns[:] = [path("", view)]
    handler = BaseHandler()
    handler.load_middleware()
    for name in TENANTS:
        with tenant(name):
            response: Any = handler.get_response(RequestFactory().get("/"))
        assert response.content.decode().split(",") == expected(name)
    assert seen == [True, True]


def test_djangos_pool(configured: None) -> None:
    """The same server connection serves threads of different tenants."""

    def visit(name: str) -> tuple[int, list[str], object]:
        with tenant(name):
            try:
                found = look("plain", "pooled")
                with connections["pooled"].cursor() as cursor:
                    cursor.execute("SELECT pg_backend_pid(), to_regclass('pg_temp.left_behind')")
                    pid, table = cursor.fetchone()
                    cursor.execute("CREATE TEMP TABLE left_behind (note text)")
                return pid, found, table
            finally:
                connections["pooled"].close()

    pids = set()
    for name in (FIRST, SECOND, FIRST):
        with ThreadPoolExecutor(1) as thread:
            pid, found, table = thread.submit(copy_context().run, visit, name).result()
        pids.add(pid)
        assert (found, table) == (expected(name), None)
    assert len(pids) == 1


def test_across_tenants(kind: str) -> None:
    with platform(reason="a test"):
        if kind == "schema":
            with pytest.raises(ProgrammingError, match="does not exist"):
                look(kind)
        else:
            assert look(kind) == []


def test_an_engine_that_is_told_nothing_of_tenants_is_refused(configured: None) -> None:
    with pytest.raises(NotConfigured, match="tenants"):
        connections["nothing_said"].cursor()
