"""The page does what it says: its code is run as printed. (Django's is run by a program of its own.)"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from tests.integration.postgres.joining.applications import OrderPlaced, Shop, sqlalchemy_address

PAGE = (Path(__file__).parents[4] / "docs" / "transactional-send.md").read_text(encoding="utf-8")
BLOCKS = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "transaction.atomic" not in block]


@pytest.mark.parametrize("number", range(1, 4))
async def test_the_code_runs_as_printed(shop: Shop, number: int) -> None:
    assert len(BLOCKS) == 3
    with psycopg.connect(shop.database.admin_url) as admin:
        admin.execute("CREATE TABLE orders (id text)")
        admin.execute("GRANT ALL ON orders TO PUBLIC")
    async_engine = create_async_engine(sqlalchemy_address(shop.database.tenant_url, "asyncpg"), poolclass=NullPool)
    async with asyncpg.create_pool(shop.database.tenant_url, min_size=1, max_size=1) as pool:
        names: dict[str, Any] = {
            "AsyncSession": AsyncSession,
            "OrderPlaced": OrderPlaced,
            "async_engine": async_engine,
            "jobs": shop.jobs,
            "pool": pool,
            "psycopg": psycopg,
            "text": text,
            "url": shop.database.tenant_url,
        }
        exec(f"async def page():\n{textwrap.indent(BLOCKS[number - 1], '    ')}", names)
        await names["page"]()
    assert shop.rows("SELECT id FROM orders") == [(f"order-{number}",)]
    await shop.ran(f"order-{number}")
