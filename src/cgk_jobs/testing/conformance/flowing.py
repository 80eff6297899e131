"""Flow control: one run for several events, fewer runs, newest wins. Tenants never meet in it."""

from __future__ import annotations

import pytest

from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import NewEvent, RunKey, Stored
from cgk_jobs.errors import DuplicateKey, InvalidEvent
from cgk_jobs.tasks.flow import Batch, Debounce, Flow, Latest, Throttle, Unique
from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase, subscription

__all__ = ["FlowSuite"]


def of(key: str, number: int = 0) -> str:
    """A payload with a field to go by, and one that tells events apart."""
    return f'{{"k":"{key}","n":{number}}}'


class FlowSuite(StoreCase):
    """``insert`` and ``retry`` for tasks with ``unique``, ``debounce``, ``throttle``, ``batch`` and ``latest``."""

    async def _declare(self, ledger: Driver, flow: Flow) -> None:
        await ledger.listen(subscription("flow", "flow", flow=flow.stored()))

    async def _send(self, ledger: Driver, k: str = "a", number: int = 0, tenant: str = "acme", **options: object) -> Stored:  # fmt: skip
        return await ledger.send(tenant, name="flow", payload=of(k, number), **options)

    # -- unique ------------------------------------------------------------------------------------------------------

    async def test_unique_answers_the_run_there_is_until_it_has_ended(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(unique=Unique(by="k")))
        first = await self._send(ledger)
        second = await self._send(ledger, number=1, tags="x")
        assert (second.duplicate, second.runs) == (True, first.runs)
        assert await ledger.store.reads.count(RunFilter("acme", tag="x")) == {}, "a duplicate leaves the run as it is"
        (claim,) = await ledger.claim()
        assert (await self._send(ledger)).runs == first.runs
        await ledger.settle(claim, "retrying", attempt=2, due_at=ledger.clock.micros() + SECOND)
        assert (await self._send(ledger)).duplicate
        ledger.clock.advance(1)
        (claim,) = await ledger.claim()
        assert claim.payload == of("a")
        await ledger.settle(claim)
        assert not (await self._send(ledger)).duplicate
        assert await ledger.counts() == {"completed": 1, "queued": 1}

    async def test_unique_is_apart_for_each_tenant_and_key(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(unique=Unique(by=("k", "n"))))
        sends = [("a", 1, "acme"), ("a", 2, "acme"), ("b", 1, "acme"), ("a", 1, "aaron"), ("a", 1, "rival")]
        sent = [await self._send(ledger, *one) for one in sends]
        assert not any(one.duplicate for one in sent)
        assert (await self._send(ledger, "a", 1, "rival")).runs == sent[-1].runs

    async def test_unique_while_queued_lets_another_in_once_it_has_started(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(unique=Unique(by="k", while_="queued")))
        first = await self._send(ledger)
        assert (await self._send(ledger)).runs == first.runs
        await ledger.claim()
        second = await self._send(ledger)
        assert not second.duplicate
        assert (await self._send(ledger)).runs == second.runs

    async def test_a_period_outlasts_a_run_that_ended_well(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(unique=Unique(by="k", period=60)))
        first = await self._send(ledger)
        (claim,) = await ledger.claim()
        await ledger.settle(claim)
        ledger.clock.advance(59)
        assert (await self._send(ledger)).runs == first.runs
        ledger.clock.advance(1)
        second = await self._send(ledger)
        assert not second.duplicate
        (claim,) = await ledger.claim()
        await ledger.settle(claim, "failed", error="no")
        assert not (await self._send(ledger)).duplicate, "one that failed may be sent again"

    async def test_a_batch_of_sends_sees_its_own_events(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(unique=Unique(by="k")))
        one = NewEvent("acme", "flow", 1, of("a"))
        first, second, rival = await ledger.store.insert([one, one, one._replace(tenant_id="rival")])
        assert (first.duplicate, second.duplicate, rival.duplicate) == (False, True, False)
        assert second.runs == first.runs

    async def test_an_event_with_other_listeners_is_a_duplicate_only_if_none_takes_it(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(unique=Unique(by="k")))
        await ledger.listen(subscription("plain", "flow"))
        first = await self._send(ledger)
        second = await self._send(ledger)
        assert not second.duplicate
        assert len(set(first.runs) & set(second.runs)) == 1
        assert await ledger.counts() == {"queued": 3}

    async def test_an_idempotency_key_remembers_the_run_of_another_event(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(unique=Unique(by="k")))
        first = await self._send(ledger)
        until = ledger.clock.micros() + 60 * SECOND
        for _ in range(2):
            assert (await self._send(ledger, key="x", key_until=until)).runs == first.runs

    async def test_a_run_started_again_by_hand_is_not_beside_another(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(unique=Unique(by="k")))
        first = await self._send(ledger)
        await ledger.failed(first)
        run = RunKey("acme", first.run_seqs[0])
        second = await self._send(ledger)
        with pytest.raises(DuplicateKey, match="not ended"):
            await ledger.store.retry(run, "default", 0)
        again = NewEvent("acme", "flow", 1, of("a"), "flow", replay_of=run.seq)
        with pytest.raises(DuplicateKey, match="not ended"):
            await ledger.store.replay(again, run.seq, None)
        await ledger.store.cancel([RunKey("acme", second.run_seqs[0])])
        assert await ledger.store.retry(run, "default", 0)
        assert (await self._send(ledger)).runs == first.runs

    # -- debounce ----------------------------------------------------------------------------------------------------

    async def test_debounce_starts_once_events_have_stopped_with_the_last(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(debounce=Debounce(10, by="k")))
        first = await self._send(ledger, tags="x")
        for number in (1, 2, 3):
            ledger.clock.advance(9)
            assert await ledger.claim() == []
            later = await self._send(ledger, number=number, tags=f"t{number}")
            assert (later.duplicate, later.runs) == (False, first.runs)
        await self._send(ledger, "b")
        await self._send(ledger, "a", 9, "rival")
        ledger.clock.advance(9)
        assert await ledger.claim() == []
        ledger.clock.advance(1)
        claims = {(claim.tenant_id, claim.payload) for claim in await ledger.claim()}
        assert claims == {("acme", of("a", 3)), ("acme", of("b")), ("rival", of("a", 9))}
        run = await ledger.run(first)
        assert (run.events, run.tags) == (4, "x,t1,t2,t3")
        assert (await self._send(ledger, number=4)).runs != first.runs, "what has started takes nothing in any more"

    async def test_debounce_waits_no_longer_than_it_may(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(debounce=Debounce(10, by="k", max_wait=25)))
        first = await self._send(ledger)
        for number in range(1, 4):
            ledger.clock.advance(8)
            await self._send(ledger, number=number)
        assert (await ledger.run(first)).due_at == (await ledger.run(first)).created_at + 25 * SECOND
        ledger.clock.advance(1)
        assert [claim.payload for claim in await ledger.claim()] == [of("a", 3)]

    async def test_a_debounced_run_expires_from_its_last_moment(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(debounce=Debounce(10, by="k")))
        first = await self._send(ledger, expires=5.0)
        ledger.clock.advance(8)
        await self._send(ledger, expires=5.0)
        run = await ledger.run(first)
        assert (run.due_at, run.expires_at) == (
            ledger.clock.micros() + 10 * SECOND,
            ledger.clock.micros() + 15 * SECOND,
        )

    # -- throttle ----------------------------------------------------------------------------------------------------

    async def test_throttle_drops_what_is_too_much_in_any_window(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(throttle=Throttle(3, 10, by="k")))
        taken: list[int] = []
        for second in range(40):
            stored = await self._send(ledger)
            assert (stored.refused is None) == bool(stored.runs)
            taken += [second] if stored.runs else []
            ledger.clock.advance(1)
        assert taken == [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32]
        assert await ledger.counts() == {"queued": 12}

    async def test_throttle_is_apart_for_each_tenant_and_key_and_forgets(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(throttle=Throttle(1, 10, by="k")))
        keys = (("a", 0, "acme"), ("b", 0, "acme"), ("a", 0, "aaron"), ("a", 0, "rival"))
        assert all([(await self._send(ledger, *key)).runs for key in keys])
        refused = await self._send(ledger)
        assert (refused.event_seq, refused.runs) == (0, [])
        assert "throttle" in (refused.refused or "")
        ledger.clock.advance(10)
        await ledger.store.prune(0, 10)
        assert (await self._send(ledger)).runs
        assert not (await self._send(ledger)).runs

    async def test_a_refused_event_leaves_its_key_and_its_other_listeners_alone(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(throttle=Throttle(1, 10)))
        until = ledger.clock.micros() + 60 * SECOND
        await self._send(ledger)
        assert (await self._send(ledger, key="x", key_until=until)).refused is not None
        await ledger.listen(subscription("plain", "flow"))
        sent = await self._send(ledger, key="x", key_until=until)
        assert (sent.refused, sent.duplicate, len(sent.runs)) == (None, False, 1)

    async def test_a_duplicate_does_not_count_against_the_throttle(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(unique=Unique(by="k"), throttle=Throttle(2, 10)))
        for key in ("a", "a", "a", "b"):
            assert (await self._send(ledger, key)).refused is None
        assert (await self._send(ledger, "c")).refused is not None

    # -- batch -------------------------------------------------------------------------------------------------------

    async def test_a_batch_starts_when_it_is_full(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(batch=Batch(3, 60, by="k")))
        sent = [await self._send(ledger, number=number) for number in range(4)]
        assert len({one.runs[0] for one in sent[:3]}) == 1
        assert sent[3].runs != sent[0].runs
        (claim,) = await ledger.claim()
        assert claim.payload == f"[{of('a', 0)},{of('a', 1)},{of('a', 2)}]"
        assert (await ledger.run(sent[0])).events == 3
        assert (await ledger.look()).next_due == ledger.clock.micros() + 60 * SECOND

    async def test_a_batch_starts_when_its_first_has_waited(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(batch=Batch(100, 10, by="k")))
        await self._send(ledger)
        ledger.clock.advance(9)
        await self._send(ledger, number=1, tags="late")
        ledger.clock.advance(1)
        (claim,) = await ledger.claim()
        assert claim.payload == f"[{of('a')},{of('a', 1)}]"
        await ledger.settle(claim, "retrying", attempt=2, due_at=ledger.clock.micros() + SECOND)
        assert (await self._send(ledger, number=2)).run_seqs != (claim.seq,), "one that is tried again takes nothing in"
        ledger.clock.advance(1)
        assert [again.payload for again in await ledger.claim()] == [claim.payload]

    async def test_never_two_tenants_keys_or_versions_in_one_batch(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(batch=Batch(10, 10, by="k")))
        for number in range(6):
            await self._send(ledger, "ab"[number % 2], number, ("acme", "rival")[number % 3 == 0])
        await self._send(ledger, number=7, version=2)
        ledger.clock.advance(10)
        claims = {(claim.tenant_id, claim.event_version, claim.payload) for claim in await ledger.claim()}
        assert claims == {
            ("rival", 1, f"[{of('a', 0)}]"),
            ("rival", 1, f"[{of('b', 3)}]"),
            ("acme", 1, f"[{of('b', 1)},{of('b', 5)}]"),
            ("acme", 1, f"[{of('a', 2)},{of('a', 4)}]"),
            ("acme", 2, f"[{of('a', 7)}]"),
        }

    async def test_a_replayed_batch_is_the_same_batch_and_takes_nothing_in(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(batch=Batch(2, 10)))
        for number in range(2):
            await self._send(ledger, number=number)
        (claim,) = await ledger.claim()
        await ledger.settle(claim)
        event = NewEvent("acme", "flow", 1, claim.payload, "flow", replay_of=claim.seq)
        again = await ledger.store.replay(event, claim.seq, None)
        assert (await self._send(ledger)).runs != again.runs
        assert [one.payload for one in await ledger.claim()] == [claim.payload]

    # -- latest ------------------------------------------------------------------------------------------------------

    async def test_the_newest_run_of_a_key_cancels_the_older(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(latest=Latest(by="k")))
        running = await self._send(ledger)
        (claim,) = await ledger.claim()
        waiting, rival, other = await self._send(ledger), await self._send(ledger, "a", 0, "rival"), await self._send(ledger, "b")  # fmt: skip
        newest = await self._send(ledger, number=1)
        assert await ledger.store.cancels_asked(ledger.seat.id) == [claim.seq]
        assert [await ledger.state(one) for one in (running, waiting, newest, rival, other)] == [
            "running", "cancelled", "queued", "queued", "queued",
        ]  # fmt: skip
        assert "newer" in ((await ledger.run(waiting)).error or "")
        await ledger.settle(claim, "retrying", attempt=2, due_at=ledger.clock.micros())
        assert await ledger.state(running) == "cancelled"

    async def test_an_older_run_is_not_started_again_beside_a_newer(self, ledger: Driver) -> None:
        await self._declare(ledger, Flow(latest=Latest(by="k")))
        older = await self._send(ledger)
        await self._send(ledger)
        with pytest.raises(DuplicateKey, match="not ended"):
            await ledger.store.retry(RunKey("acme", older.run_seqs[0]), "default", 0)

    # -- what a send may not ask -------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        "flow", [Flow(debounce=Debounce(5)), Flow(batch=Batch(2, 5)), Flow(ordered_by=("k",))], ids=str
    )
    async def test_a_delay_is_refused_where_the_task_decides_the_start(self, ledger: Driver, flow: Flow) -> None:
        await self._declare(ledger, flow)
        with pytest.raises(InvalidEvent, match="without delay"):
            await self._send(ledger, delay=5)
        assert await ledger.counts() == {}
        assert (await self._send(ledger, delay=-1)).runs
