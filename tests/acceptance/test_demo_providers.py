"""The demo through each provider, in small: every run woken by the vendor, or its double, and the books right to the penny."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from click.testing import CliRunner
from tests.servers.redis import left_connections, running_redis

from cgk_jobs.cli.main import cgk
from cgk_jobs.examples.commerce.demo import DemoOptions, run_demo
from cgk_jobs.examples.commerce.demo.vendors import HOSTED
from cgk_jobs.examples.commerce.stream import read_orders

TENANTS = ("germany", "france")
DAYS = 8


@pytest.fixture
def redis_url() -> Iterator[str]:
    with left_connections():
        yield from running_redis()


@pytest.mark.parametrize("provider", HOSTED)
async def test_the_books_equal_the_file(
    provider: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if provider == "bullmq":
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("redis_url"))
    result = await run_demo(DemoOptions(tenants=TENANTS, days=DAYS, provider=provider), lambda _: None)
    orders = list(read_orders(TENANTS))
    end = orders[0].placed_at + timedelta(days=DAYS)
    assert result.reconciled, result.document()
    assert result.lost == 0
    assert result.revenue_pence == sum(order.total_pence for order in orders if order.placed_at < end)
    assert set(result.runs) == {"completed"}


def test_bullmq_without_a_redis_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    refused = CliRunner().invoke(cgk, ["jobs", "demo", "--provider", "bullmq"])
    assert refused.exit_code == 3
    assert "REDIS_URL" in refused.output


@pytest.mark.parametrize("more", [["--kill"], ["--workers", "2"], ["--database-url", "postgresql://x/y"]])
def test_what_goes_with_no_provider_is_refused(more: list[str]) -> None:
    assert CliRunner().invoke(cgk, ["jobs", "demo", "--provider", "qstash", *more]).exit_code == 2
