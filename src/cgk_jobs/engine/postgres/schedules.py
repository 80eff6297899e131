"""How far schedules have fired. A schedule's row is locked while a part of a tick is stored: one process fires it."""

from __future__ import annotations

from collections.abc import Sequence

from cgk_jobs.engine.postgres.batch import Batch
from cgk_jobs.engine.postgres.charging import admit_ticks
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.sending import Sending
from cgk_jobs.engine.records import NewEvent, ScheduleRecord, Stored
from cgk_jobs.errors import ProviderUnavailable

__all__ = ["fire", "schedule"]


async def schedule(
    database: Database, schedule_id: str, timezone: str, expression: str, *, declare: bool = True
) -> ScheduleRecord:
    """How far a schedule has fired in a zone; see the boundary."""

    async def verb(work: Work) -> ScheduleRecord:
        row = await work.row("find_schedule", schedule_id, timezone)
        if row is None:
            # Somebody else may make it at the same moment: then theirs is found.
            await work.run("begin_schedule", schedule_id, timezone, expression, database.now)
            row = await work.row("find_schedule", schedule_id, timezone)
        elif row["expression"] != expression and declare:
            # A tick half fired under the old expression stays: its other tenants are owed it.
            row = await work.row("redeclare_schedule", schedule_id, timezone, expression, database.now)
        if row is None:
            raise ProviderUnavailable(f"schedule {schedule_id!r} is written and not there: is the login the worker's?")
        return ScheduleRecord(*row)

    return await database.retried(verb)


async def fire(
    database: Database,
    configuration: Configuration,
    sending: Sending,
    before: ScheduleRecord,
    after: ScheduleRecord,
    events: Sequence[NewEvent],
) -> tuple[list[Stored], list[Batch]] | None:
    """Store a part of a tick's runs and move the schedule on, if it stands where the caller saw it; else ``None``.

    The batches say what is to be told now that it is committed.
    """

    async def verb(work: Work) -> tuple[list[Stored], list[Batch]] | None:
        row = await work.row("find_schedule", before.id, before.timezone)
        if row is None or ScheduleRecord(*row) != before:
            return None
        batches: list[Batch] = []
        taken, paid, crossings = await admit_ticks(work, configuration, events)
        stored = await sending.insert_in(work, taken, batches, paid) if taken else []
        if batches:
            batches[0].crossings = [*crossings, *batches[0].crossings]
        await work.run("move_schedule", *after)
        return stored, batches

    return await database.retried(verb)
