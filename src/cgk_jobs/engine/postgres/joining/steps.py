"""Steps that are journalled in the transaction of their own writes: both are there, or neither; so the step was done once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from cgk_jobs.engine.postgres.database import QUERIES, Database
from cgk_jobs.engine.postgres.joining.binding import Binding
from cgk_jobs.engine.postgres.joining.connections import UserConnection, recognise
from cgk_jobs.engine.records import Claim
from cgk_jobs.portal import on_callers_thread
from cgk_jobs.runtime.entries import JournalEntry

__all__ = ["JoinedSteps", "StepTransaction"]

FEATURE = "step(connection=…)"


class StepTransaction:
    """The transaction of one step."""

    def __init__(self, steps: JoinedSteps, connection: UserConnection, claim: Claim) -> None:
        self._steps = steps
        self._connection = connection
        self._claim = claim

    async def record(self, entry: JournalEntry) -> bool:
        """Journal the step, as the last thing before the commit; see :meth:`JoinedSteps.record_in`."""
        return await self._steps.write(self._connection, self._claim, entry)


class JoinedSteps:
    """Journals on connections of the application."""

    def __init__(self, database: Database, binding: Binding) -> None:
        self._database = database
        self._binding = binding

    async def record_in(self, connection: Any, claim: Claim, entry: JournalEntry) -> bool:
        """Journal a finished step in the open transaction of ``connection``. Nothing but the commit should follow.

        False: the attempt lost its run, or the step is finished already; the transaction must then be rolled back, since what
        it did was or will be done by another attempt. The run's row is locked until the transaction ends: a rescue waits.
        Raises as ``JoinedSending.insert``.
        """
        joined = await on_callers_thread(lambda: recognise(connection, FEATURE))
        await joined.require_transaction()
        return await self.write(joined, claim, entry)

    @asynccontextmanager
    async def transaction(self, connection: Any, claim: Claim) -> AsyncGenerator[StepTransaction, None]:
        """A transaction on ``connection``, which has none open: committed at the end of the block, rolled back if it raises.

        Raises ``Unsupported`` and ``NotConfigured`` before anything of the step is done.
        """
        joined = await on_callers_thread(lambda: recognise(connection, FEATURE))
        async with joined.transaction():
            await self._binding.check(joined, FEATURE)
            yield StepTransaction(self, joined, claim)

    async def write(self, connection: UserConnection, claim: Claim, entry: JournalEntry) -> bool:
        """Check the fence and write the row."""
        marks = [str(mark).lower() for mark in (entry.ordered, entry.undoable, entry.failed)]
        now = self._database.now
        values = (
            *(str(claim.seq), str(claim.token), entry.name, entry.result, str(entry.place)),
            *marks,
            None if now is None else str(now),
        )
        async with self._binding.bound(connection, claim.tenant_id, FEATURE):
            row = await connection.row(QUERIES["record_step_in_transaction"], *values)
        return row is not None and row[0] is True
