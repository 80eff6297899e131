"""The walls between tenants. The type checker's is in ``typing_tests``, the constructor's in ``tests/unit/events``."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from cgk_jobs import (
    Event,
    InvalidEvent,
    Jobs,
    JobsError,
    RunFailed,
    RunNotFound,
    TenantMismatch,
    TenantRequired,
    across_tenants,
    tenant_context,
)
from cgk_jobs.engine.records import NewEvent

BAD_TENANTS: list[Any] = [
    None, "", " ", "\t", "Acme", "acme corp", "acme/../other", "acme;drop", "-acme", "_acme", "ä", "a" * 64, "acme\n", "\0",
    "a.b", "a%", "*", "platform", 5, True, ["acme"], {"id": "acme"},
]  # fmt: skip


class Placed(Event, name="walls.placed"):
    order_id: str = "1"


class Payload(BaseModel):
    order_id: str = "1"


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    jobs = Jobs(database=tmp_path / "jobs.db")

    @jobs.task(on=Placed)
    async def place(event: Placed) -> str:
        return event.tenant_id

    @jobs.task()
    async def plain(payload: Payload) -> str:
        return payload.order_id

    yield jobs
    await jobs.stop(grace=0)
    jobs.close()


async def stored(jobs: Jobs) -> int:
    with across_tenants(reason="a test counts rows"):
        return sum((await jobs.runs.count()).values()) + len(await jobs.tenants.list())


@pytest.mark.parametrize("tenant", BAD_TENANTS, ids=repr)
async def test_a_send_without_a_proper_tenant_is_refused_and_nothing_is_stored(jobs: Jobs, tenant: Any) -> None:
    with pytest.raises((InvalidEvent, TenantRequired), match="tenant_id"):
        await jobs.send("walls.placed", {"tenant_id": tenant, "order_id": "1"})
    with pytest.raises((InvalidEvent, TenantRequired)):
        tenant_context(tenant).__enter__()
    with pytest.raises((InvalidEvent, TenantRequired)):
        await jobs.tenants.add(tenant)
    assert await stored(jobs) == 0


async def test_a_send_without_any_tenant_is_refused(jobs: Jobs) -> None:
    with pytest.raises(InvalidEvent, match="tenant_id is missing: pass it"):
        await jobs.send("walls.placed", {"order_id": "1"})
    with pytest.raises(TenantRequired, match="tenant_context"):
        await jobs.tasks["plain"].send(Payload())
    assert await stored(jobs) == 0


async def test_a_send_for_another_than_the_current_tenant_is_refused(jobs: Jobs) -> None:
    foreign = Placed(tenant_id="other")
    with tenant_context("acme"):
        for send in (
            lambda: jobs.send(foreign),
            lambda: jobs.send(Placed(tenant_id="acme"), foreign),
            lambda: jobs.send("walls.placed", {"tenant_id": "other"}),
            lambda: jobs.send_many([Placed(tenant_id="acme"), foreign]),
            lambda: jobs.tasks["place"].send(foreign),
            lambda: jobs.trigger_and_wait(foreign),
        ):
            with pytest.raises(TenantMismatch, match="across_tenants"):
                await send()
    assert await stored(jobs) == 0


@pytest.mark.parametrize("tenant", ["", " ", "Acme", "a" * 64, "-a", "a b", "a/b"])
async def test_the_ledger_itself_refuses_a_row_without_a_proper_tenant(jobs: Jobs, tenant: str) -> None:
    """Whoever comes by another way than the client: the store's boundary, and SQL."""
    await jobs.declare()
    for name in ("walls.placed", "walls.nobody_listens"):
        with pytest.raises(JobsError):
            await jobs.provider.store.insert([NewEvent(tenant, name, 1, "{}")])
    assert await stored(jobs) == 0
    assert jobs.settings is not None
    assert jobs.settings.database is not None
    with closing(sqlite3.connect(jobs.settings.database)) as ledger:
        ledger.execute("PRAGMA ignore_check_constraints = OFF")
        for table, columns, values in (
            ("runs", "nonce, tenant_id, task, queue, state, event_seq, event_name, event_version, payload, created_at",
             (1, tenant, "place", "default", "queued", 1, "walls.placed", 1, "{}", 1)),
            ("unrouted_events", "nonce, tenant_id, name, version, payload, created_at", (1, tenant, "x", 1, "{}", 1)),
        ):  # fmt: skip
            with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
                ledger.execute(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(values))})", values)
        with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
            ledger.execute(
                "INSERT INTO unrouted_events (nonce, name, version, payload, created_at) VALUES (1, 'x', 1, '{}', 1)"
            )


async def test_the_runtime_hands_no_event_of_one_tenant_to_a_run_of_another(jobs: Jobs) -> None:
    sent = await jobs.send(Placed(tenant_id="acme"))
    assert jobs.settings is not None
    assert jobs.settings.database is not None
    with closing(sqlite3.connect(jobs.settings.database)) as ledger:
        ledger.execute("""UPDATE runs SET payload = '{"tenant_id":"other","order_id":"1"}'""")
        ledger.commit()
    await jobs.start()
    with tenant_context("acme"), pytest.raises(RunFailed, match="an event of another"):
        await jobs.runs.wait(sent.run_id, 20)


async def test_a_run_of_another_tenant_is_not_there(jobs: Jobs) -> None:
    sent = await jobs.send(Placed(tenant_id="acme"))
    known = sent.run_id
    guessed = "01900000-0000-7000-8000-000000000000"
    runs = jobs.runs
    with tenant_context("other"):
        answers = []
        for run_id in (known, guessed):
            for act in (runs.get, runs.cancel, runs.retry, runs.replay, runs.wait):
                with pytest.raises(RunNotFound) as refusal:
                    await act(run_id)
                answers.append(str(refusal.value).replace(run_id, "…"))
        # The same words, whether it exists or not.
        assert len(set(answers)) == 1
        assert await runs.count() == {}
        assert len(await runs.list()) == 0
        for read in (runs.list, runs.count):
            with pytest.raises(TenantMismatch):
                await read(tenant_id="acme")
        with pytest.raises(TenantMismatch):
            await jobs.tenants.usage("acme")
        with pytest.raises(TenantMismatch):
            await jobs.tenants.pause("acme")
    with tenant_context("acme"):
        assert await runs.count() == {"queued": 1}


async def test_without_a_tenant_nothing_is_read_or_done(jobs: Jobs) -> None:
    sent = await jobs.send(Placed(tenant_id="acme"))
    for act in (jobs.runs.get, jobs.runs.cancel, jobs.runs.retry, jobs.runs.replay, jobs.runs.wait):
        with pytest.raises(TenantRequired, match="tenant_context"):
            await act(sent.run_id)
    for read in (jobs.runs.list, jobs.runs.count):
        with pytest.raises(TenantRequired, match="across_tenants"):
            await read()
    with pytest.raises(TenantRequired, match="reason"):
        across_tenants(reason=" ").__enter__()


async def test_one_key_of_two_tenants_is_two_keys(jobs: Jobs) -> None:
    first = await jobs.send(Placed(tenant_id="acme", order_id="1"), key="k")
    second = await jobs.send(Placed(tenant_id="other", order_id="2"), key="k")
    assert [first.status, second.status] == ["accepted", "accepted"]
    assert first.run_id != second.run_id
