"""Proving that jobs run here: one is sent to the ledger, claimed, run and read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cgk_jobs import Context, Jobs, Tick, across_tenants
from cgk_jobs.cli.errors import Failure
from cgk_jobs.clock import monotonic
from cgk_jobs.errors import JobsError, NotConfigured, ProviderUnavailable

__all__ = ["CHECK", "Verified", "verify"]

CHECK = "cgk-setup-check"
"""The task that is run, and its queue: a worker of the application running meanwhile leaves it alone."""
PATIENCE = 20.0
"""Seconds after which the check has failed."""
ANSWER = 42


@dataclass(frozen=True, slots=True)
class Verified:
    """The run that was made, and how many seconds it took from the send to its result."""

    run_id: str
    seconds: float


async def verify(ledger: Path | str) -> Verified:
    """Run one job end to end in a ledger: SQLite's file, or PostgreSQL's address. Raises ``Failure`` if it doesn't, and what opening the ledger does.

    It belongs to the installation (the tenant ``platform``), so that no tenant is seen that doesn't exist.
    """
    jobs = Jobs(ledger) if isinstance(ledger, str) else Jobs(provider="embedded", database=ledger)

    # No scheduler runs here, so its date does not matter: it is only ever triggered.
    @jobs.cron("0 0 29 2 *", id=CHECK, queue=CHECK, tenants="platform", timeout=PATIENCE)
    async def check(tick: Tick, ctx: Context) -> int:
        answer: int = await ctx.step("answer", _answer)
        return answer

    try:
        await jobs.start(concurrency=1, queues=[CHECK], scheduler=False)
        try:
            begun = monotonic()
            with across_tenants(reason="cgk setup:jobs runs one job to see that they run"):
                (sent,) = await jobs.schedules.trigger(CHECK)
                if jobs.running is not None:
                    # Where a provider wakes runs, nobody there knows of this one: it is claimed here, whoever rings.
                    await jobs.running.drain(PATIENCE)
                answer = await jobs.runs.wait(sent.run_id, PATIENCE)
                run = await jobs.runs.get(sent.run_id)
            took = monotonic() - begun
        finally:
            await jobs.stop()
    except (NotConfigured, ProviderUnavailable):
        # Of the ledger itself; these say what is to be done, and have exit codes of their own.
        raise
    except JobsError as error:
        raise Failure(f"the job sent to check the setup did not come through: {error}") from error
    finally:
        jobs.close()
    if answer != ANSWER or [step.name for step in run.steps] != ["answer"]:
        raise Failure(f"the job sent to check the setup came back with {answer!r} and not {ANSWER}")
    return Verified(sent.run_id, took)


def _answer() -> int:
    return ANSWER
