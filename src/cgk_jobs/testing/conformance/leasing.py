"""Names that one process at a time may hold."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase

__all__ = ["LeasingSuite"]


class LeasingSuite(StoreCase):
    """``take_lease``, ``drop_lease``."""

    async def test_a_lease_is_held_alone(self, ledger: Driver) -> None:
        assert await ledger.store.take_lease("tick", 60) is not None
        assert await ledger.store.take_lease("tick", 60) is None
        assert await ledger.store.take_lease("another", 60) is not None

    async def test_of_many_who_ask_at_once_one_gets_it(self, ledger: Driver) -> None:
        for seconds in (60, 30):
            answers = await asyncio.gather(*[ledger.store.take_lease("tick", seconds) for _ in range(20)])
            assert sum(answer is not None for answer in answers) == 1
            ledger.clock.advance(61)

    async def test_one_that_was_let_go_is_another_s_at_once(self, ledger: Driver) -> None:
        lease = await ledger.store.take_lease("tick", 60)
        assert await ledger.store.drop_lease("tick", lease)
        assert not await ledger.store.drop_lease("tick", lease)
        assert await ledger.store.take_lease("tick", 60) is not None

    async def test_one_that_was_not_let_go_ends_by_itself(self, ledger: Driver) -> None:
        await ledger.store.take_lease("tick", 60)
        ledger.clock.advance(59.9)
        assert await ledger.store.take_lease("tick", 60) is None
        ledger.clock.advance(0.2)
        assert await ledger.store.take_lease("tick", 60) is not None

    async def test_whoever_is_too_late_lets_go_nobody_else_s(self, ledger: Driver) -> None:
        old = await ledger.store.take_lease("tick", 60)
        ledger.clock.advance(60)
        new = await ledger.store.take_lease("tick", 0.000001)
        assert not await ledger.store.drop_lease("tick", old)
        assert await ledger.store.drop_lease("tick", new)

    async def test_leases_of_one_name_are_told_apart(self, ledger: Driver) -> None:
        numbers: list[int] = []
        for _ in range(5):
            number = await ledger.store.take_lease("tick", 1)
            assert number is not None
            numbers.append(number)
            ledger.clock.advance(1)
        assert all(later > earlier for earlier, later in pairwise(numbers))

    async def test_whoever_holds_it(self, ledger: Driver) -> None:
        assert not await ledger.store.drop_lease("tick", None)
        await ledger.store.take_lease("tick", 60)
        assert await ledger.store.drop_lease("tick", None)

    async def test_upkeep_forgets_those_that_are_over_and_no_others(self, ledger: Driver) -> None:
        await ledger.store.take_lease("short", 1)
        long = await ledger.store.take_lease("long", 3600)
        ledger.clock.advance(60)
        await ledger.store.prune(ledger.clock.micros() - 86_400 * SECOND, 100)
        assert not await ledger.store.drop_lease("short", None)
        assert await ledger.store.drop_lease("long", long)

    async def test_a_lease_is_no_signed_call(self, ledger: Driver) -> None:
        await ledger.store.take_lease("tick", 60)
        assert not await ledger.store.was_seen("tick")
        assert await ledger.store.first_seen("tick", ledger.clock.micros() + 60 * SECOND)
        assert await ledger.store.was_seen("tick")
        assert await ledger.store.take_lease("tick", 60) is None
