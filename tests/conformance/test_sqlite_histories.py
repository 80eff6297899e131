"""Random histories on SQLite: a quick look with the tests; ``HYPOTHESIS_PROFILE`` is not needed for it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from tests.conformance.test_sqlite_store import bury_sqlite_worker, sqlite_store

from cgk_jobs.testing.conformance.stateful import store_histories

TestSqliteHistories = store_histories(sqlite_store, bury_sqlite_worker).TestCase
TestSqliteHistories.settings = settings(
    max_examples=12,
    stateful_step_count=35,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
