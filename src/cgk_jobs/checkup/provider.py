"""What the provider tells: reachable, set up, handing out what there is."""

from __future__ import annotations

import asyncio

from cgk_jobs.checkup.findings import Finding, bad, fine, mind
from cgk_jobs.errors import JobsError
from cgk_jobs.providers.bound import BoundProvider
from cgk_jobs.providers.hosting import CLAIMING

__all__ = ["look_at_provider"]

PATIENCE = 15.0
MEANWHILE = "meanwhile the sweep of started processes claims what is due by itself"


async def look_at_provider(bound: BoundProvider) -> list[Finding]:
    """The active provider's health, and who else still wakes runs."""
    active = await bound.store.active_provider(bound.name)
    found: list[Finding] = []
    if active.name != bound.name:
        found.append(
            mind(
                "provider", f"this process is set to {bound.name}, and the ledger says {active.name}, which counts",
                f"set JOBS_PROVIDER={active.name}, or move: cgk jobs migrate --to {bound.name}",
            )
        )  # fmt: skip
    if active.draining:
        found.append(
            mind("move", f"{', '.join(active.draining)} drains", f"go on: cgk jobs migrate --to {active.name}")
        )
    for name in (active.name, *active.draining):
        if name not in CLAIMING:
            found += await _health(bound, name)
    counts = await bound.store.count_wakeups()
    unacknowledged = sum(count.unacknowledged for count in counts.values())
    if unacknowledged:
        found.append(
            mind(
                "wake-ups",
                f"{unacknowledged:,} not handed over yet",
                "look at the provider's health above, and whether a process is started",
            )
        )
    return found or [fine("provider", f"{bound.name}: workers claim by themselves")]


async def _health(bound: BoundProvider, name: str) -> list[Finding]:
    try:
        provider = bound.hosted(name)
    except JobsError as error:
        return [bad("provider", f"{name}: {error}", "set what is missing: cgk setup:jobs")]
    try:
        async with asyncio.timeout(PATIENCE):
            health = await provider.health()
    except TimeoutError:
        return [
            bad("provider", f"{name} did not answer within {PATIENCE:.0f} s", f"look at its status page; {MEANWHILE}")
        ]
    finally:
        await provider.close()
    if not health.ok:
        return [bad("provider", f"{name}: {health.reason}", MEANWHILE)]
    warnings = [mind("provider", f"{name}: {warning}", f"see docs/providers/{name}.md") for warning in health.warnings]
    return [fine("provider", f"{name} is reached"), *warnings]
