"""Making the runs a run calls, and the entries of its journal that wait for their outcomes, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from cgk_jobs.engine.flow import calls_nobody
from cgk_jobs.engine.postgres import journal
from cgk_jobs.engine.postgres.batch import Batch
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.families import family_hold
from cgk_jobs.engine.postgres.sending import Sending
from cgk_jobs.engine.records import Claim, NewEvent, RunKey
from cgk_jobs.runtime.entries import JournalEntry

__all__ = ["children_of", "spawn"]


async def spawn(
    database: Database,
    sending: Sending,
    claim: Claim,
    entry: JournalEntry,
    children: Sequence[NewEvent],
    *,
    first: int,
    concurrency: int | None,
) -> bool:
    """Make children; see the boundary. A portion is four statements, however many it has."""
    batches: list[Batch] = []

    async def verb(work: Work) -> bool:
        batches.clear()
        # The end of a child waits here, and so finds every sibling that is held.
        held = await work.row("holds_run", *claim.key, claim.token)
        if held is None:
            return False
        if held["cancel_asked"]:
            raise calls_nobody(claim)
        if first == 0 and not await journal.record(work, database.now, claim, **entry._asdict()):
            return False
        names = [child.parent.step for child in children if child.parent is not None]
        if names != [entry.name]:
            await work.run("insert_child_entries", *claim.key, entry.place + 1 + first, database.now, names)
        made = children
        if concurrency is not None:
            made = await _held_beyond(work, claim, entry, children, first, concurrency)
        await sending.insert_in(work, made, batches)
        return True

    done = await database.retried(verb)
    if done:
        sending.tell(batches)
    return done


async def _held_beyond(
    work: Work, claim: Claim, entry: JournalEntry, children: Sequence[NewEvent], first: int, concurrency: int
) -> list[NewEvent]:
    """The children, those beyond what may be at work at a time held."""
    hold = family_hold(claim.seq, entry.name)
    row = await work.row("held_in_group", *claim.key, hold, entry.name)
    held, pending = (0, entry.pending) if row is None else (row["held"], row["pending"])
    at_work = first - (entry.pending - pending) - held
    room = max(concurrency - at_work, 0)
    return [
        child if place < room or child.parent is None else child._replace(parent=child.parent._replace(hold=hold))
        for place, child in enumerate(children)
    ]


async def children_of(database: Database, run: RunKey, *, after: int, count: int) -> list[int]:
    """The numbers of the runs this one called, rising."""
    return [row["seq"] for row in await database.rows("list_children", *run, after, count)]
