"""What can't be worked on is set aside, and everything else goes on (S17)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.reliability.application import Deadly, Quick
from tests.reliability.processes import LIMIT, Fleet, until, until_async

from cgk_jobs import Context, DuplicateKey, Event, Jobs, Limit, PayloadTooLarge, RunFailed, Send, Sent, tenant_context
from cgk_jobs.events import upcasts


class Placed(Event, name="poison.placed"):
    order_id: str = "1"
    note: str = ""


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    jobs = Jobs(database=tmp_path / "jobs.db")
    yield jobs
    await jobs.stop(grace=0)
    jobs.close()


def tamper(jobs: Jobs, change: str, sent: Sent) -> None:
    """Change the row of a run, as a bug, a hand or a bad disk would."""
    assert jobs.settings is not None
    assert jobs.settings.database is not None
    with closing(sqlite3.connect(jobs.settings.database)) as connection:
        seqs = sent._run_seqs
        assert connection.execute(f"UPDATE runs SET {change} WHERE seq = ?", seqs).rowcount == 1
        connection.commit()


async def states(jobs: Jobs, *sent: Sent) -> list[str]:
    with tenant_context("acme"):
        return [(await jobs.runs.get(one.run_id)).state for one in sent]


@pytest.mark.parametrize("payload", ["{broken", "[]", "7", '"text"', "", "{}", '{"tenant_id":"acme","order_id":5}'])
async def test_s17_a_payload_that_can_t_be_read_fails_at_once_and_alone(jobs: Jobs, payload: str) -> None:
    seen: list[str] = []

    @jobs.task(on=Placed, concurrency=Limit(5, per="order_id"))
    async def place(event: Placed) -> None:
        seen.append(event.order_id)

    sent = [await jobs.send(Placed(tenant_id="acme", order_id=str(number))) for number in range(5)]
    tamper(jobs, f"payload = '{payload}'", sent[2])
    await jobs.start()
    with tenant_context("acme"):
        for one in (*sent[:2], *sent[3:]):
            await jobs.runs.wait(one.run_id, LIMIT)
        with pytest.raises(RunFailed):
            await jobs.runs.wait(sent[2].run_id, LIMIT)
        # Whoever looks after it sees what is there, in the list as well.
        poisoned = await jobs.runs.get(sent[2].run_id)
        assert poisoned.error
        assert poisoned.attempt == 1
        assert len(await jobs.runs.list()) == 5
    assert sorted(seen) == ["0", "1", "3", "4"]


async def test_s17_a_run_of_an_unknown_task_waits_for_code_that_has_it(jobs: Jobs, tmp_path: Path) -> None:
    @jobs.task(on=Placed)
    async def place(event: Placed) -> str:
        return "place"

    sent = [await jobs.send(Placed(tenant_id="acme")) for _ in range(3)]
    tamper(jobs, "task = 'from-tomorrow'", sent[0])
    await jobs.start()
    with tenant_context("acme"):
        assert [await jobs.runs.wait(one.run_id, LIMIT) for one in sent[1:]] == ["place", "place"]
        parked = await jobs.runs.get(sent[0].run_id)
        assert (parked.state, parked.attempt) == ("queued", 1)
        assert "from-tomorrow" in (parked.held_by or "")
    await jobs.stop()
    tomorrow = Jobs(database=tmp_path / "jobs.db")

    @tomorrow.task(on=Placed, id="from-tomorrow")
    async def from_tomorrow(event: Placed) -> str:
        return "tomorrow"

    await tomorrow.start()
    with tenant_context("acme"):
        assert await tomorrow.runs.wait(sent[0].run_id, LIMIT) == "tomorrow"
        assert (await tomorrow.runs.get(sent[0].run_id)).attempt == 1
    await tomorrow.stop()
    tomorrow.close()


async def test_s17_a_worker_with_older_code_takes_no_run_away_from_one_with_newer(jobs: Jobs, tmp_path: Path) -> None:
    """A rolling deployment: the older worker sees the run first, and parks what it doesn't know."""

    @jobs.task(on=Placed)
    async def place(event: Placed) -> str:
        return "place"

    newer = Jobs(database=tmp_path / "jobs.db")
    gate, begun = asyncio.Event(), asyncio.Event()

    @newer.task(on=Placed, id="from-tomorrow")
    async def from_tomorrow(event: Placed) -> str:
        begun.set()
        await gate.wait()
        return "tomorrow"

    await newer.start(concurrency=1)
    first = await newer.tasks["from-tomorrow"].send(Placed(tenant_id="acme"))
    await begun.wait()
    # The newer worker is busy, so the older one looks first.
    await jobs.start()
    second = await newer.tasks["from-tomorrow"].send(Placed(tenant_id="acme"))
    with tenant_context("acme"):
        while not (await newer.runs.get(second.run_id)).held_by:  # noqa: ASYNC110 - a row
            await asyncio.sleep(0.005)
        gate.set()
        assert [await newer.runs.wait(one.run_id, LIMIT) for one in (first, second)] == ["tomorrow"] * 2
        assert (await newer.runs.get(second.run_id)).attempt == 1
    await newer.stop()
    newer.close()


async def test_s17_an_event_newer_than_this_code_waits_for_newer_code(jobs: Jobs, tmp_path: Path) -> None:
    @jobs.task(on=Placed, id="place")
    async def place(event: Placed) -> str:
        return "old"

    class Newer(Event, name="poison.placed", version=2):
        order_id: str
        currency: str

        @upcasts(1)
        @staticmethod
        def add_currency(payload: dict[str, object]) -> dict[str, object]:
            del payload["note"]
            return {**payload, "currency": "EUR"}

    old = await jobs.send(Placed(tenant_id="acme"))
    new = await jobs.send(Placed(tenant_id="acme"))
    tamper(
        jobs,
        """event_version = 2, payload = '{"tenant_id":"acme","order_id":"1","currency":"GBP"}'""",
        new,
    )
    await jobs.start()
    with tenant_context("acme"):
        assert await jobs.runs.wait(old.run_id, LIMIT) == "old"
        parked = await jobs.runs.get(new.run_id)
        while parked.held_by is None:
            parked = await jobs.runs.get(new.run_id)
        assert (parked.state, parked.attempt) == ("queued", 1)
    await jobs.stop()
    newer = Jobs(database=tmp_path / "jobs.db")

    @newer.task(on=Newer, id="place")
    async def place_anew(event: Newer) -> str:
        return event.currency

    await newer.start()
    with tenant_context("acme"):
        assert await newer.runs.wait(new.run_id, LIMIT) == "GBP"
    await newer.stop()
    newer.close()


async def test_s17_ten_megabytes_are_refused_and_nothing_is_stored(jobs: Jobs) -> None:
    @jobs.task(on=Placed)
    async def place(event: Placed) -> None: ...

    large = Placed(tenant_id="acme", note="x" * 10_000_000)
    with pytest.raises(PayloadTooLarge, match="send a reference"):
        await jobs.send(large)
    first, second, third = await jobs.send_many(
        [Placed(tenant_id="acme"), large, Placed(tenant_id="acme", order_id="3")]
    )
    assert [first.status, second.status, third.status] == ["accepted", "refused", "accepted"]
    assert "send a reference" in (second.error or "")
    assert len(await jobs.provider.store.reads.tenants()) == 1
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
    batch = await jobs.send_many(
        [
            Placed(tenant_id="acme"),
            Send(Placed(tenant_id="acme", order_id="3"), key="k"),
            Send(Placed(tenant_id="acme", order_id="1"), key="k"),
            Placed(tenant_id="acme"),
        ]
    )
    assert [sent.status for sent in batch] == ["accepted", "refused", "duplicate", "accepted"]
    with tenant_context("acme"):
        assert await jobs.runs.count() == {"queued": 13}


async def test_s17_whatever_a_handler_raises_stays_in_its_run(jobs: Jobs) -> None:
    errors = (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, sqlite3.IntegrityError, MemoryError)

    @jobs.task(on=Placed)
    async def place(event: Placed, ctx: Context) -> str:
        if ctx.attempt == 1 and event.order_id != "fine":
            raise errors[int(event.order_id)]
        return "done"

    await jobs.start()
    sent = [await jobs.send(Placed(tenant_id="acme", order_id=str(number))) for number in range(len(errors))]
    sent += [await jobs.send(Placed(tenant_id="acme", order_id="fine")) for _ in range(20)]
    with tenant_context("acme"):
        assert [await jobs.runs.wait(one.run_id, LIMIT) for one in sent] == ["done"] * len(sent)


def test_s17_a_handler_that_ends_its_process_is_set_aside_after_its_attempts(fleet: Fleet) -> None:
    deadly = fleet.send(Deadly(tenant_id="acme"))
    others = [fleet.send(Quick(tenant_id="acme", number=number)) for number in range(50)]
    starts = 0
    while len(fleet.history.lines("deadly")) < 2:
        # What a supervisor does.
        starts += 1
        assert starts <= 2
        fleet.worker(lease=600.0).join()
    fleet.worker(lease=600.0)
    until(lambda: fleet.get(deadly).finished, "the poison was set aside")
    ended = fleet.get(deadly)
    assert (ended.state, ended.attempt) == ("failed", 3)
    assert "worker process ended" in ended.error
    assert len(fleet.history.lines("deadly")) == 2
    assert [fleet.result(one) for one in others] == list(range(50))


async def test_s17_a_task_that_always_fails_does_not_delay_others(jobs: Jobs) -> None:
    done: list[str] = []

    @jobs.task(on=Placed)
    async def place(event: Placed) -> None:
        if event.note:
            raise ValueError(event.note)
        done.append(event.order_id)

    await jobs.start(concurrency=4)
    await jobs.send_many(
        [Placed(tenant_id="acme", order_id=str(number), note="bad" if number % 2 else "") for number in range(200)]
    )
    await until_async(lambda: len(done) == 100)
    with tenant_context("acme"):
        counts = await jobs.runs.count()
        while counts.get("queued") or counts.get("running"):
            counts = await jobs.runs.count()
    # Failed once, and waiting for the second attempt without a slot.
    assert counts == {"completed": 100, "retrying": 100}
