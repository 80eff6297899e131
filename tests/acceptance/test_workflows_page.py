"""The handlers printed in ``docs/workflows.md`` do what the page says."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import cgk_jobs
from cgk_jobs import Event, tenant_context
from cgk_jobs.testing import JobsHarness

PAGE = Path(__file__).parents[2] / "docs" / "workflows.md"


class OrderPlaced(Event, name="page.order_placed"):
    order_id: str


class StockReserved(Event, name="page.stock_reserved"):
    order_id: str


class Parcel(BaseModel):
    number: int


class Review(BaseModel):
    order_id: str
    labels: list[str]


class PayoutRequested(Event, name="page.payout_requested"):
    payout_id: str


class PayoutDecided(Event, name="page.payout_decided"):
    payout_id: str
    approved: bool


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings for the links, before there is an application."""
    monkeypatch.setenv("JOBS_SIGNING_KEY", "k" * 32)
    monkeypatch.setenv("JOBS_PUBLIC_URL", "https://shop.example")


def printed() -> list[str]:
    """The programs of the page."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("reserved", [True, False])
async def test_the_example_runs_as_printed(jobs_harness: JobsHarness, reserved: bool) -> None:
    jobs = jobs_harness.jobs
    done: list[Any] = []

    def charge_card(order_id: str) -> str:
        done.append(f"charge {order_id}")
        return "ch_1"

    @jobs.task()
    async def print_label(parcel: Parcel) -> str:
        return f"label {parcel.number}"

    @jobs.task()
    async def ask_for_review(review: Review) -> str:
        done.append(review.labels)
        return f"asked for {review.order_id}"

    names = {name: getattr(cgk_jobs, name) for name in ("Context", "NonRetryable", "Retry", "WaitTimeout")}
    names |= {cls.__name__: cls for cls in (OrderPlaced, StockReserved, Parcel, Review, timedelta)}
    names |= {"jobs": jobs, "charge_card": charge_card, "print_label": print_label, "ask_for_review": ask_for_review}
    names |= {"refund": lambda charge: done.append(f"refund {charge}")}
    exec(printed()[0], names)

    begun = jobs_harness.clock.now()
    sent = await jobs.send(OrderPlaced(tenant_id="acme", order_id="o1"))
    await jobs_harness.drain()
    if reserved:
        await jobs.send(StockReserved(tenant_id="acme", order_id="o1"))
    await jobs_harness.drain(with_scheduled=True)
    with tenant_context("acme"):
        run = await jobs.runs.get(sent.run_id)
    if reserved:
        assert (run.state, run.result) == ("completed", "asked for o1")
        assert done == ["charge o1", ["label 0", "label 1", "label 2"]]
        assert jobs_harness.clock.now() - begun == timedelta(days=14)
    else:
        assert (run.state, run.error) == ("failed", "NonRetryable: no stock came")
        assert done == ["charge o1", "refund ch_1"]


@pytest.mark.parametrize("approved", [True, False])
async def test_a_person_is_asked_as_printed(jobs_harness: JobsHarness, approved: bool) -> None:
    jobs = jobs_harness.jobs
    jobs.events.add(PayoutDecided)
    mails: list[tuple[str, str]] = []
    names: dict[str, Any] = {cls.__name__: cls for cls in (PayoutRequested, PayoutDecided, cgk_jobs.Context, timedelta)}
    names |= {"jobs": jobs, "mail": lambda *mail: mails.append(mail), "transfer": lambda payout: f"paid {payout}"}
    exec(printed()[1], names)

    sent = await jobs.send(PayoutRequested(tenant_id="acme", payout_id="p1"))
    await jobs_harness.drain()
    ((recipient, url),) = mails
    address, token = url.rsplit("/", 1)
    assert (recipient, address) == ("finance@shop.example", "https://shop.example/approve")
    await jobs.approve(token, approved=approved)
    await jobs_harness.drain()
    with tenant_context("acme"):
        run = await jobs.runs.get(sent.run_id)
    assert (run.state, run.result) == ("completed", "paid p1" if approved else "refused")
    assert len(mails) == 1
