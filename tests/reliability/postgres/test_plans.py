"""The statements of the hot path go by the indexes made for them, whatever lies in the ledger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.reliability.postgres.plans import Plan, Planner, fill_finished, fill_ready
from tests.servers.ledgers import Ledgers

FINISHED = 200_000
READY = 20_000
LISTS = "ARRAY['t1', 't2']::text[]", "ARRAY[11, 13]::bigint[]", "ARRAY[1, 1]::bigint[]", "ARRAY['1', '2']::text[]"
EXCHANGE = (
    *LISTS, "NULL", "1", "1", "'default'", "-2147483648", "'-Infinity'", "10", "ARRAY['sync']::text[]", "ARRAY[]::text[]",
)  # fmt: skip

BY_KEY = {"runs_pkey"}
WAYS = {
    # Of which statement the rows of runs may be found how, and no other way.
    "exchange": BY_KEY | {"runs_ready"},
    "lock_ready": {"runs_ready"},
    "take_runs": BY_KEY,
    "complete_attempts": BY_KEY,
    "end_attempts": BY_KEY,
    "suspend_attempts": BY_KEY,
    "record_step": BY_KEY,
    "due_runs": {"runs_due"},
    "next_due": {"runs_due", "runs_arriving"},
    "find_flow_arrivals": {"runs_arriving"},
    "busy_runs": {"runs_busy"},
    "dead_workers": {"runs_busy"},
    "cancels_asked": {"runs_busy"},
    "lock_runs": BY_KEY,
    "park_runs": BY_KEY,
    "make_ready": BY_KEY,
    "expired_runs": {"runs_expiring"},
    "ready_queues": {"runs_ready"},
    "unwoken_ready": {"runs_ready"},
    "unwoken_due": {"runs_due"},
    "repeated_wakeups": BY_KEY,
    "forget_wakeups": BY_KEY,
    "checked_wakeups": BY_KEY,
}
INSERTS = ("insert_one", "insert_runs")
SETTLING = ("exchange", "complete_attempts", "end_attempts")
TABLES = ("finished_runs", "tenants", "jumps", "run_tags", "steps", "attempts", "idempotency_keys")


@pytest.fixture(scope="module")
def planner(postgres_ledgers: Ledgers) -> Iterator[Planner]:
    """On a ledger with many runs that have ended, and many that wait."""
    database = postgres_ledgers.fresh()
    fill_finished(database, runs=FINISHED)
    fill_ready(database, tenants=100, runs=READY // 2)
    planner = Planner(database)
    yield planner
    planner.close()
    postgres_ledgers.drop(database)


def goes_by_indexes(plan: Plan, table: str) -> bool:
    return not plan.scans(table) & {"Seq Scan", "Parallel Seq Scan"}


@pytest.mark.parametrize("name", WAYS)
def test_runs_are_found_by_the_index_made_for_it(planner: Planner, name: str) -> None:
    plan = planner.generic(name)
    found = plan.scans("runs")
    assert found, "the statement looks at no run: name another one here"
    assert found <= WAYS[name]
    for table in TABLES:
        assert goes_by_indexes(plan, table), f"{name} reads all of {table}"


@pytest.mark.parametrize("name", INSERTS)
def test_an_insert_looks_at_clocks_by_their_keys(planner: Planner, name: str) -> None:
    plan = planner.generic(name)
    assert plan.scans("runs") == plan.scans("finished_runs") == set()
    assert plan.scans("tenant_clocks") == {"tenant_clocks_pkey"}
    assert plan.scans("queue_clocks") == {"queue_clocks_pkey"}


def test_the_most_common_insert_looks_at_no_clock(planner: Planner) -> None:
    assert planner.generic("insert_lone").scans("tenant_clocks") == set()


@pytest.mark.parametrize("name", SETTLING)
def test_settling_writes_to_the_history_and_does_not_read_it(planner: Planner, name: str) -> None:
    assert planner.generic(name).scans("finished_runs") == set()


def test_a_claim_of_known_values_goes_the_same_way(planner: Planner) -> None:
    """As a statement is planned for its first uses."""
    assert planner.custom("exchange", EXCHANGE).scans("runs") == WAYS["exchange"]


@pytest.mark.parametrize("generic", [True, False])
def test_a_claim_takes_from_the_index_what_it_hands_out(planner: Planner, generic: bool) -> None:
    with planner.connection.transaction(force_rollback=True):
        planner.connection.execute(
            "INSERT INTO cgk_jobs.workers (id, pid, concurrency, started_at, beat_at, lease_until, host, queues) "
            "OVERRIDING SYSTEM VALUE VALUES (1, 1, 10, 1, 1, 1, '', 'default')"
        )
        plan = planner.executed("exchange", EXCHANGE, generic=generic)
    assert plan.rows_of("runs_ready") == 10
    # Ten runs are read and written in the row and six indexes each; 20,000 that wait would be hundreds of blocks more.
    assert plan.blocks < 400
