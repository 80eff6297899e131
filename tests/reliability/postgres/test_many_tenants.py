"""What a claim touches does not grow with the number of tenants (S38). Counted by the server, in blocks and rows."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest
from tests.reliability.postgres.plans import fill_ready
from tests.servers.ledgers import Ledgers
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, Claim, NewEvent, Settlement, Subscription

RUNS = 10_000
CLAIMS = 40
AT_ONCE = 10
APPETITE = Appetite(("default",), AT_ONCE, {"sync": None})

_COUNTERS = (
    "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint, "
    "(SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE schemaname = 'cgk_jobs') "
    "FROM pg_stat_user_tables WHERE schemaname = 'cgk_jobs'"
)
_BLOCKS = (
    "SELECT (SELECT sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)) "
    "FROM pg_statio_user_tables WHERE schemaname = 'cgk_jobs')::bigint"
)


def counters(database: LedgerDatabase) -> tuple[int, int, int]:
    """Rows read from tables, entries read from indexes, and blocks touched, since the database was made."""
    with psycopg.connect(database.admin_url) as admin:
        rows, entries = admin.execute(_COUNTERS.encode()).fetchall()[0]
        return rows, entries, admin.execute(_BLOCKS.encode()).fetchall()[0][0]


async def claim_and_settle(database: LedgerDatabase, rounds: int) -> list[Claim]:
    """What a worker does with a store of its own, and a sender: the sessions' counters are there when they have ended."""
    store = PostgresStore(database.worker_url, SystemClock())
    await store.subscribe([Subscription("sync", "placed", "default", 0, 0, None, "")])
    seat = await store.take_seat(("default",), AT_ONCE, 600.0)
    claims: list[Claim] = []
    held: Sequence[Claim] = ()
    for number in range(rounds):
        settlements = [Settlement(claim, "completed", 1) for claim in held]
        held = (await store.exchange(seat.id, settlements, APPETITE)).claims
        claims += held
        await store.insert([NewEvent("hot" if number % 2 else "t1", "placed", 1, "{}")])
    await store.exchange(seat.id, [Settlement(claim, "completed", 1) for claim in held], None)
    await seat.leave()
    store.close()
    return claims


def wait_until_only_we_are_left(database: LedgerDatabase) -> None:
    """A session reports what it counted at its end."""
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        while admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        ).fetchone() != (0,):
            continue


async def cost(ledgers: Ledgers, tenants: int) -> tuple[float, float, float]:
    """What one more claim of ten, its settlement and a send cost."""
    database = ledgers.fresh()
    try:
        fill_ready(database, tenants=tenants, runs=RUNS)
        measured: list[tuple[int, int, int]] = []
        for rounds in (CLAIMS // 4, CLAIMS + CLAIMS // 4):
            before = counters(database)
            claims = await claim_and_settle(database, rounds)
            assert len(claims) == rounds * AT_ONCE
            assert len({claim.tenant_id for claim in claims}) > 5
            wait_until_only_we_are_left(database)
            after = counters(database)
            measured.append((after[0] - before[0], after[1] - before[1], after[2] - before[2]))
        # The difference of a short and a long life: opening a store reads the settings once, whatever there are.
        rows, entries, blocks = ((long - short) / CLAIMS for short, long in zip(measured[0], measured[1], strict=True))
        return rows, entries, blocks
    finally:
        ledgers.drop(database)


@pytest.mark.timeout(120)
async def test_s38_a_claim_costs_the_same_with_ten_and_ten_thousand_tenants(postgres_ledgers: Ledgers) -> None:
    few = await cost(postgres_ledgers, 10)
    many = await cost(postgres_ledgers, 10_000)
    print(f"rows, entries, blocks a round: {few} with 10 tenants, {many} with 10,000")
    # Ten runs a round, each found a few times; the waiting 20,000 are not among them.
    assert many[0] <= 12 * AT_ONCE
    assert many[0] <= few[0] * 1.1 + 1
    assert many[1] <= few[1] * 1.1 + 2
    # An index of many tenants may be a level deeper.
    assert many[2] <= few[2] * 1.25 + 2
