"""``docs/tenant-data.md`` does what it says: its code is run as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.servers.ledgers import Ledgers

from cgk_jobs.tenancy import TenantRows

PAGE = (Path(__file__).parents[3] / "docs" / "tenant-data.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(SQL,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
ASK_DJANGO = """
import django
from django.conf import settings
from django.db import connection
from cgk_jobs import tenant

settings.configure(DATABASES=DATABASES)
django.setup()
with tenant("acme"), connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM orders")
    print(cursor.fetchone()[0])
"""


@pytest.fixture(scope="module")
def environment(
    postgres_ledgers: Ledgers, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What the examples read from the environment."""
    ledger = postgres_ledgers.fresh()
    login = urlsplit(ledger.tenant_url).username
    with psycopg.connect(ledger.admin_url, autocommit=True) as admin:
        admin.execute("CREATE TABLE orders (tenant_id text, id text, PRIMARY KEY (tenant_id, id))")
        admin.execute(f'GRANT SELECT, INSERT ON orders TO "{login}"'.encode())
        admin.execute(SQL.encode())
        admin.execute("INSERT INTO orders VALUES ('others', '1'), ('others', '2')")
    files = tmp_path_factory.mktemp("files")
    (files / "pyproject.toml").touch()
    yield {
        **{name: value for name, value in os.environ.items() if not name.startswith("JOBS_")},
        "SHOP_DATABASE_URL": ledger.tenant_url,
        "JOBS_TENANT_DATABASE_URL": ledger.tenant_url,
        "REDIS_URL": redis_url,
        "SHOP_FILES": str(files),
        "WORKER": ledger.worker_url,
    }
    postgres_ledgers.drop(ledger)


def run(name: str, environment: dict[str, str], *, then: str = "", **more: str) -> list[str]:
    """The lines an example prints; ``name`` is something only it says."""
    (code,) = [code for code in CODE if name in code]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + then],
        cwd=environment["SHOP_FILES"],
        env={**environment, **more},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_sql_is_what_the_guard_gives() -> None:
    assert TenantRows().table_sql("orders") == SQL


def test_every_example_is_run_here() -> None:
    assert len(CODE) == 6


def test_handlers(environment: dict[str, str]) -> None:
    assert run("asyncpg.create_pool", environment) == ["acme 1", "other 1"]
    assert run("create_engine(url)", environment) == ["1"]
    assert run("DATABASES", environment, then=ASK_DJANGO) == ["1"]


def test_signed_bindings(environment: dict[str, str]) -> None:
    lines = run("SignedTenant(", environment, JOBS_DATABASE_URL=environment["WORKER"])
    assert "cgk_jobs.bound_tenant()" in lines[3]
    assert lines[-1] == "('acme',)"


def test_redis(environment: dict[str, str]) -> None:
    first, second, key, refusal = run("TenantCache(client)", environment)
    assert first == "acme ['1', -1] ['visits']"
    assert second == "other ['1', -1] ['visits']"
    assert key == "tenant:acme:visits"
    assert "use clear()" in refusal


def test_files(environment: dict[str, str]) -> None:
    first, second, refusal = run("TenantFiles(", environment)
    assert first == "acme ['reports/june.csv']"
    assert second == "other ['reports/june.csv']"
    assert "may leave the tenant's folder" in refusal
