import asyncio
import functools
import sqlite3
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cgk_jobs.clock import ManualClock
from cgk_jobs.engine.ids import parse_id
from cgk_jobs.engine.records import NewEvent, Settlement, Stored, Subscription
from cgk_jobs.engine.sqlite.commits import GroupCommit
from cgk_jobs.engine.sqlite.store import SqliteLedger
from cgk_jobs.engine.states import ALL_STATES, TRANSITIONS
from cgk_jobs.errors import DuplicateKey, ForeignDatabase, ProviderUnavailable

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[GroupCommit]:
    commits = GroupCommit(tmp_path / "jobs.db", clock, full_sync=False)
    commits.now(lambda store: store.subscribe([Subscription("sync", "placed", "default", None, "")]))
    yield commits
    commits.close()


def event(tenant: str, payload: str = "{}", **options: Any) -> NewEvent:
    return NewEvent(tenant, "placed", 1, payload)._replace(**options)


def test_a_stale_claim_writes_nothing(ledger: GroupCommit, clock: ManualClock) -> None:
    ledger.now(lambda store: store.insert([event("a")]))
    worker = ledger.now(lambda store: store.add_worker(1, "lock"))
    (old,) = ledger.now(lambda store: store.claim(worker, ("default",), 10))
    assert ledger.now(lambda store: store.rescue(worker)) == 1
    ledger.now(lambda store: store.promote())
    (new,) = ledger.now(lambda store: store.claim(worker, ("default",), 10))
    assert (new.seq, new.attempt) == (old.seq, 2)
    assert not ledger.now(lambda store: store.record_step(old, "step", "1"))
    assert not ledger.now(lambda store: store.settle(Settlement(old, "completed", 1)))
    assert ledger.now(lambda store: store.record_step(new, "step", "2"))
    assert ledger.now(lambda store: store.settle(Settlement(new, "completed", 2)))
    assert ledger.now(lambda store: store.steps(new.seq)) == {"step": "2"}


def test_a_backlog_does_not_delay_another_tenant(ledger: GroupCommit) -> None:
    ledger.now(lambda store: store.insert([event("big")] * 500))
    ledger.now(lambda store: store.claim(1, ("default",), 100))
    ledger.now(lambda store: store.insert([event("small")]))
    claims = ledger.now(lambda store: store.claim(1, ("default",), 3))
    assert "small" in [claim.tenant_id for claim in claims]


def test_keys_delay_and_scope(ledger: GroupCommit, clock: ManualClock) -> None:
    until = clock.micros() + 10**9
    first, again = (ledger.now(lambda store: store.insert([event("a", key="k", key_until=until)]))[0] for _ in range(2))
    assert again == first._replace(duplicate=True)
    with pytest.raises(DuplicateKey):
        ledger.now(lambda store: store.insert([event("a", "[]", key="k", key_until=until)]))
    assert not ledger.now(lambda store: store.insert([event("b", "[]", key="k", key_until=until)]))[0].duplicate
    seq, nonce = parse_id(first.run_ids[0]) or (0, 0)
    assert ledger.now(lambda store: store.find("a", seq, nonce))
    assert ledger.now(lambda store: store.find("b", seq, nonce)) is None
    ledger.now(lambda store: store.insert([event("c", due_at=clock.micros() + 60_000_000)]))
    clock.advance(60)
    ledger.now(lambda store: store.promote())
    assert ledger.now(lambda store: store.count("c")) == {"queued": 1}


async def test_a_refused_item_of_a_group_fails_alone(ledger: GroupCommit, clock: ManualClock) -> None:
    until = clock.micros() + 10**9

    def send(payload: str) -> Awaitable[list[Stored]]:
        return ledger.run(lambda store: store.insert([event("a", payload, key="k", key_until=until)]))

    answers = await asyncio.gather(send("1"), send("2"), send("1"), return_exceptions=True)
    assert [isinstance(answer, DuplicateKey) for answer in answers] == [False, True, False]
    assert ledger.now(lambda store: store.count("a")) == {"queued": 1}


def test_the_schema_refuses_a_row_without_tenant(ledger: GroupCommit) -> None:
    for bad in (event(""), event("A"), event("a" * 64)):
        with pytest.raises(ProviderUnavailable, match="refused a write"):
            ledger.now(functools.partial(SqliteLedger.insert, events=[bad]))
    assert ledger.now(lambda store: store.count(None)) == {}


def test_foreign_damaged_and_newer_files_are_refused(tmp_path: Path, clock: ManualClock) -> None:
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    (tmp_path / "damaged.db").write_bytes(b"not a database" * 100)
    GroupCommit(tmp_path / "newer.db", clock, full_sync=False).now(
        lambda store: store.db.execute("PRAGMA user_version = 99")
    )
    for name in ("foreign", "damaged", "newer"):
        with pytest.raises(ForeignDatabase, match="choose another path"):
            GroupCommit(tmp_path / f"{name}.db", clock, full_sync=False).now(lambda store: store.count(None))


def test_every_state_has_its_row_in_the_table() -> None:
    assert set(TRANSITIONS) == set(ALL_STATES)
    assert {after for row in TRANSITIONS.values() for after in row} <= set(ALL_STATES)
