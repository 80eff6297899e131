"""What an attempt writes while it runs: its journal, progress, lines of its log. Each write carries the claim.

The run's row is locked as the claim is checked: a rescue that is under way is waited for, and the claim is then looked at
anew, so nothing of an attempt that lost its run comes in after the next attempt has read the journal.
"""

from __future__ import annotations

from collections.abc import Sequence

from cgk_jobs.engine.metadata import merged_metadata
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.records import Claim, LogLine
from cgk_jobs.runtime.entries import JournalEntry

__all__ = ["append_log", "entries", "record", "steps", "write_metadata", "write_progress"]


async def record(
    work: Work,
    now: int | None,
    claim: Claim,
    name: str,
    result: str | None,
    *,
    place: int | None = None,
    ordered: bool = False,
    undoable: bool = False,
    failed: bool = False,
    pending: int = 0,
) -> bool:
    """Write an entry, or one anew that was pending. False: the attempt lost its run, or the entry is finished."""
    marks = (place, ordered, undoable, failed, pending)
    return await work.run("record_step", *claim.key, claim.token, name, result, now, *marks) == 1


async def entries(work: Work, claim: Claim) -> list[JournalEntry]:
    """Every entry of the claim's run, by place."""
    return [JournalEntry(*row) for row in await work.rows("read_journal", *claim.key)]


async def steps(database: Database, claim: Claim) -> dict[str, str | None]:
    """The finished steps of the claim's run: JSON results by name."""
    return {entry.name: entry.result for entry in await entries(database, claim) if not entry.pending}


async def write_progress(database: Database, claim: Claim, progress: str) -> bool:
    """Keep how far an attempt is (JSON). False: it no longer holds its run."""
    return await database.run("write_progress", *claim.key, claim.token, progress) == 1


async def write_metadata(database: Database, claim: Claim, changes: str) -> bool:
    """Merge fields (a JSON object) into the run's metadata. False: it no longer holds its run.

    Raises ``PayloadTooLarge`` where the metadata would grow over its limit.
    """

    async def verb(work: Work) -> bool:
        row = await work.row("read_metadata", *claim.key, claim.token)
        if row is None:
            return False
        await work.run("write_metadata", *claim.key, merged_metadata(row["metadata"], changes))
        return True

    return await database.retried(verb)


async def append_log(database: Database, claim: Claim, lines: Sequence[LogLine]) -> bool:
    """Keep lines a handler logged. False: the attempt no longer holds its run."""

    async def verb(work: Work) -> bool:
        if await work.row("holds_run", *claim.key, claim.token) is None:
            return False
        rows = [(*claim.key, claim.attempt, number, *line) for number, line in enumerate(lines, 1)]
        if rows:
            await work.run("append_lines", *zip(*rows, strict=True))
        return True

    return await database.retried(verb)
