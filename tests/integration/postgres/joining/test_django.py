"""Django's connections: ``transaction.atomic`` commits the send with the application's writes, and tells of it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.integration.postgres.joining.applications import NOTHING, Shop

ROOT = Path(__file__).parents[4]


async def run(shop: Shop, scenario: str) -> None:
    """Run the program, and see that it found nothing wrong."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.postgres.joining.django_application"),
        *(scenario, shop.database.worker_url, shop.database.tenant_url),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await program.communicate()
    assert program.returncode == 0, said.decode()


async def test_a_commit_stores_both_and_makes_the_run_ready(shop: Shop) -> None:
    await run(shop, "commit")
    assert shop.rows("SELECT id FROM shop_orders") == [("order-1",)]
    assert shop.rows("SELECT state FROM cgk_jobs.runs") == [("queued",)]
    assert shop.rows("SELECT key FROM cgk_jobs.idempotency_keys") == [("100%",)]
    await shop.ran("order-1")


async def test_a_rollback_leaves_nothing(shop: Shop) -> None:
    await run(shop, "rollback")
    assert shop.stored() == NOTHING


async def test_an_inner_block_that_fails_leaves_nothing(shop: Shop) -> None:
    await run(shop, "savepoint")
    await shop.ran("order-1", "order-2")
    assert shop.stored()["orders"] == 0


async def test_transactions_that_the_application_commits_by_hand(shop: Shop) -> None:
    await run(shop, "by hand")
    await shop.ran("order-1")


async def test_outside_a_transaction_and_in_a_coroutine(shop: Shop) -> None:
    await run(shop, "refused")
    assert shop.stored() == NOTHING
