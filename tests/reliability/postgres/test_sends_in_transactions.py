"""The application's transactions that send: rolled back, or dead between the insert and the commit (S10)."""

from __future__ import annotations

from tests.reliability.postgres.processes import ServerFleet
from tests.reliability.postgres.transactions import transactions_that_end_anyhow


def test_s10_no_job_without_its_order_and_no_order_without_its_job(fleet: ServerFleet) -> None:
    transactions_that_end_anyhow(fleet, count=120, processes=3)
