import pytest
from tests.unit.examples_services.bench import TENANT, Bench


async def test_an_order_is_reported_once_to_each_platform_whichever_task_reports_it(bench: Bench) -> None:
    assert await bench.run("analytics-send-meta-purchase", order_id="o1", amount_cents=250, currency="EUR")
    assert not await bench.run("analytics-send-meta-purchase", order_id="o1", amount_cents=250, currency="EUR")
    assert await bench.run("order-pixel-events", order_id="o1", total_amount_cents=250, currency="EUR") == 2
    assert not await bench.run("analytics-send-ga4-purchase", order_id="o1", amount_cents=250, currency="EUR")
    assert not await bench.run("analytics-send-tiktok-event", order_id="o1", amount_cents=250, currency="EUR")
    assert [(done.vendor, done.amount_cents) for done in bench.vendors.done(TENANT, "purchase")] == [
        ("ga4", 250),
        ("meta", 250),
        ("tiktok", 250),
    ]


async def test_a_platform_that_fails_does_not_make_the_others_count_again(bench: Bench) -> None:
    bench.vendors.down, bench.vendors.loses_answers = {"meta"}, True
    with pytest.raises(Exception, match="meta is down"):
        await bench.run("order-pixel-events", order_id="o1", total_amount_cents=250)
    bench.vendors.down = set()
    await bench.run("order-pixel-events", order_id="o1", total_amount_cents=250)
    assert len(bench.vendors.done(TENANT, "purchase")) == 3
    assert bench.vendors.calls_seen == ["ga4:o1", "meta:o1", "meta:o1", "tiktok:o1"]
