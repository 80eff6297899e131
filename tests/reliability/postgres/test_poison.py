"""What can't be worked on is set aside, and everything else goes on (S17)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
from tests.reliability.processes import LIMIT
from tests.servers.postgres import LedgerDatabase

from cgk_jobs import DuplicateKey, Event, Jobs, PayloadTooLarge, RunFailed, Sent, tenant_context


class Placed(Event, name="poison.server_placed"):
    order_id: str = "1"
    note: str = ""


@pytest.fixture
async def jobs(postgres_database: LedgerDatabase) -> AsyncIterator[Jobs]:
    jobs = Jobs(postgres_database.worker_url)
    yield jobs
    await jobs.stop(grace=0)
    jobs.close()


def tamper(database: LedgerDatabase, sent: Sent, column: str, value: str) -> None:
    """Change the row of a run, as a bug, a hand or a bad disk would."""
    with psycopg.connect(database.admin_url) as admin:
        changed = admin.execute(
            f"UPDATE cgk_jobs.runs SET {column} = %s WHERE seq = %s".encode(), (value, sent._run_seqs[0])
        )
        assert changed.rowcount == 1


@pytest.mark.parametrize("payload", ["{broken", "[]", "", '{"tenant_id":"acme","order_id":5}'])
async def test_s17_a_payload_that_can_t_be_read_fails_at_once_and_alone(
    jobs: Jobs, postgres_database: LedgerDatabase, payload: str
) -> None:
    seen: list[str] = []

    @jobs.task(on=Placed)
    async def place(event: Placed) -> None:
        seen.append(event.order_id)

    sent = [await jobs.send(Placed(tenant_id="acme", order_id=str(number))) for number in range(20)]
    tamper(postgres_database, sent[2], "payload", payload)
    await jobs.start()
    with tenant_context("acme"):
        for one in (*sent[:2], *sent[3:]):
            await jobs.runs.wait(one.run_id, LIMIT)
        with pytest.raises(RunFailed):
            await jobs.runs.wait(sent[2].run_id, LIMIT)
        poisoned = await jobs.runs.get(sent[2].run_id)
        assert poisoned.error
        assert poisoned.attempt == 1
        assert len(await jobs.runs.list()) == 20
    assert sorted(seen, key=int) == [str(number) for number in range(20) if number != 2]


async def test_s17_a_run_of_an_unknown_task_waits_for_code_that_has_it(
    jobs: Jobs, postgres_database: LedgerDatabase
) -> None:
    @jobs.task(on=Placed)
    async def place(event: Placed) -> str:
        return "place"

    sent = [await jobs.send(Placed(tenant_id="acme")) for _ in range(20)]
    tamper(postgres_database, sent[0], "task", "from-tomorrow")
    await jobs.start()
    with tenant_context("acme"):
        assert [await jobs.runs.wait(one.run_id, LIMIT) for one in sent[1:]] == ["place"] * 19
        parked = await jobs.runs.get(sent[0].run_id)
        assert (parked.state, parked.attempt) == ("queued", 1)
        assert "from-tomorrow" in (parked.held_by or "")
    await jobs.stop()
    tomorrow = Jobs(postgres_database.worker_url)

    @tomorrow.task(on=Placed, id="from-tomorrow")
    async def from_tomorrow(event: Placed) -> str:
        return "tomorrow"

    await tomorrow.start()
    with tenant_context("acme"):
        assert await tomorrow.runs.wait(sent[0].run_id, LIMIT) == "tomorrow"
        assert (await tomorrow.runs.get(sent[0].run_id)).attempt == 1
    await tomorrow.stop()
    tomorrow.close()


async def test_s17_ten_megabytes_are_refused_and_nothing_is_stored(jobs: Jobs) -> None:
    @jobs.task(on=Placed)
    async def place(event: Placed) -> None: ...

    large = Placed(tenant_id="acme", note="x" * 10_000_000)
    with pytest.raises(PayloadTooLarge, match="send a reference"):
        await jobs.send(large)
    answers = await jobs.send_many([Placed(tenant_id="acme"), large, Placed(tenant_id="acme", order_id="3")])
    assert [answer.status for answer in answers] == ["accepted", "refused", "accepted"]
    with tenant_context("acme"):
        assert await jobs.runs.count() == {"queued": 2}


async def test_s17_a_result_of_ten_megabytes_fails_once(jobs: Jobs) -> None:
    @jobs.task(on=Placed)
    async def place(event: Placed) -> str:
        return "x" * 10_000_000

    sent = await jobs.send(Placed(tenant_id="acme"))
    await jobs.start()
    with tenant_context("acme"):
        with pytest.raises(RunFailed, match="return a reference"):
            await jobs.runs.wait(sent.run_id, LIMIT)
        assert (await jobs.runs.get(sent.run_id)).attempt == 1


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800"])
async def test_s17_text_the_server_can_t_store_stops_nobody_else(jobs: Jobs, text: str) -> None:
    """A zero byte and half of a pair, which the server can't store as text: settled together with what is fine."""

    @jobs.task(on=Placed)
    async def place(event: Placed) -> str:
        return text if event.order_id == "bad" else "fine"

    sent = [await jobs.send(Placed(tenant_id="acme", order_id="bad" if number == 3 else "1")) for number in range(20)]
    await jobs.start(concurrency=20)
    with tenant_context("acme"):
        for number, one in enumerate(sent):
            if number != 3:
                assert await jobs.runs.wait(one.run_id, LIMIT) == "fine"
        with pytest.raises(RunFailed, match="InvalidResult"):
            await jobs.runs.wait(sent[3].run_id, LIMIT)
        assert (await jobs.runs.get(sent[3].run_id)).attempt == 1


async def test_s17_a_key_that_clashes_stops_nobody_else(jobs: Jobs) -> None:
    @jobs.task(on=Placed)
    async def place(event: Placed) -> None: ...

    await jobs.send(Placed(tenant_id="acme", order_id="1"), key="k")
    # Sends of one turn of the loop share a transaction: the one that is refused must not take the others along.
    answers = await asyncio.gather(
        *(jobs.send(Placed(tenant_id="acme", order_id=str(number))) for number in range(10)),
        jobs.send(Placed(tenant_id="acme", order_id="2"), key="k"),
        return_exceptions=True,
    )
    assert [isinstance(answer, Sent) for answer in answers] == [True] * 10 + [False]
    assert isinstance(answers[-1], DuplicateKey)
    with tenant_context("acme"):
        assert await jobs.runs.count() == {"queued": 11}
