"""The demo in small: the first days of the stream, with a worker killed in the middle."""

from __future__ import annotations

from datetime import timedelta

from cgk_jobs.examples.commerce.demo import DemoOptions, Progress, run_demo
from cgk_jobs.examples.commerce.stream import read_orders

TENANTS = ("france", "germany", "eire")


async def test_the_books_equal_the_file_though_a_worker_is_killed() -> None:
    heard: list[Progress] = []
    result = await run_demo(DemoOptions(kill=True, tenants=TENANTS, days=20, two_days=False), heard.append)
    document = result.document()
    assert result.killed == 1
    assert result.reconciled, document
    assert result.lost == 0
    assert set(result.runs) == {"completed"}
    assert result.retries > 0
    assert result.stream_ticks.due == result.stream_ticks.ran > 0
    orders = list(read_orders(TENANTS))
    end = orders[0].placed_at + timedelta(days=20)
    assert result.revenue_pence == sum(order.total_pence for order in orders if order.placed_at < end)
    assert {"tenants", "runs", "retries", "lost", "seconds", "peak_rss_mb"} <= document.keys()
    (france,) = [tenant for slug, tenant in document["tenants"].items() if slug == "france"]
    assert {"orders", "revenue_pence", "runs", "wait_p50_ms", "wait_p95_ms"} <= france.keys()
    assert heard[-1].done == heard[-1].total
