"""``cgk jobs demo``: a real shop's year of orders, replayed, and every tenant's books compared with the file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cgk_jobs.cli.console import hear_logging, result, say, show_json
from cgk_jobs.cli.errors import Failure
from cgk_jobs.cli.formats import duration
from cgk_jobs.cli.options import json_option
from cgk_jobs.cli.progress import Progress
from cgk_jobs.cli.tables import Column, show_table

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.demo import DemoResult
    from cgk_jobs.examples.commerce.demo import Progress as Told

__all__ = ["demo"]

STATES = ("completed", "failed", "cancelled", "expired")


class StageBars:
    """One bar after the other, as the demo goes from stage to stage."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Progress | None = None

    def __call__(self, told: Told) -> None:
        """Show how far it is."""
        if self._bar is None or told.stage != self._stage:
            self.close()
            self._stage, self._bar = told.stage, Progress(told.stage, told.total)
        self._bar.at(told.done, told.note)

    def close(self) -> None:
        """End the last bar."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


@click.command()
@click.option("--kill", is_flag=True, help="Kill a worker with SIGKILL in the middle; the books hold all the same.")
@click.option(
    "--tenant", "tenants", multiple=True, metavar="TENANT", help="Only this tenant (germany); may be given again."
)
@click.option("--days", type=click.IntRange(min=1), help="Only the stream's first days.")
@click.option("--workers", type=click.IntRange(1, 16), default=1, show_default=True, help="Worker processes.")
@click.option(
    "--database-url",
    "server",
    metavar="URL",
    help="Keep the runs on this PostgreSQL server; the login makes databases beside the one named, and drops them.",
)
@click.option(
    "--provider",
    type=click.Choice(["bullmq", "inngest", "trigger_dev", "qstash", "vercel_cron"]),
    help="Have this provider wake the runs: BullMQ in the Redis at REDIS_URL, the others' doubles on this machine.",
)
@click.option("--keep", is_flag=True, help="With --database-url: leave the databases there.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the databases here: an empty or new folder.",
)
@json_option
def demo(
    *,
    kill: bool,
    tenants: tuple[str, ...],
    days: int | None,
    workers: int,
    server: str | None,
    provider: str | None,
    keep: bool,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Replay a real shop's year of orders for 38 tenants, with its schedules in virtual time.

    Needs no setup. With --database-url the runs are on PostgreSQL, each shop's own books in SQLite files. With --provider the orders alone are replayed, in real time, each run woken by it. At the end every tenant's revenue, as the jobs computed it, is compared with the file to the penny.
    """
    from cgk_jobs.examples.commerce.demo import DemoOptions, run_demo
    from cgk_jobs.examples.commerce.stream import expected_totals

    known = expected_totals() if tenants else {}
    for tenant in tenants:
        if tenant not in known:
            raise click.BadParameter(f"no tenant {tenant}; there are {', '.join(sorted(known))}", param_hint="--tenant")
    if folder is not None and folder.exists() and any(folder.iterdir()):
        # The books of two replays in one place would add up to twice the revenue.
        raise click.BadParameter(f"{folder} is not empty: name a new folder", param_hint="--folder")
    if provider is not None and (kill or workers != 1 or server is not None):
        raise click.UsageError(
            "--provider: the runs are then in a file and one process works; leave out --kill, --workers, --database-url"
        )
    if keep and server is None:
        raise click.BadParameter("there is a database to keep only with --database-url", param_hint="--keep")
    hear_logging()
    options = DemoOptions(
        folder=folder,
        kill=kill,
        tenants=tenants,
        days=days,
        two_days=not tenants and days is None,
        workers=workers,
        server=server,
        keep=keep,
        provider=provider or "embedded",
    )
    bars = StageBars()
    try:
        found = asyncio.run(run_demo(options, bars))
    finally:
        bars.close()
    for address in found.kept:
        say(f"Kept: {address}")
    if as_json:
        show_json(found.document())
    else:
        _show(found)
    if not found.reconciled:
        raise Failure("the books don't hold: what the jobs computed differs from the file")


def _show(found: DemoResult) -> None:
    columns = [Column("CATEGORY", shrinks=True), *(Column(state.upper(), right=True) for state in STATES)]
    show_table(
        [*columns, Column("RETRIES", right=True)],
        [
            (name, *(f"{one.states.get(state, 0):,}" for state in STATES), f"{one.retries:,}")
            for name, one in sorted(found.categories.items())
        ],
    )
    result("")
    by_size = sorted(found.tenants.items(), key=lambda item: (-item[1].orders, item[0]))
    show_table(
        (
            Column("TENANT", shrinks=True),
            Column("ORDERS", right=True),
            Column("REVENUE", right=True),
            Column("FILE SAYS", right=True),
            Column("", colour=lambda text: "green" if text == "equal" else "red"),
            Column("RUNS", right=True, optional=2),
            Column("WAIT P50", right=True, optional=1),
            Column("WAIT P95", right=True, optional=1),
        ),
        [
            (
                name, f"{one.orders:,}", pounds(one.revenue_pence), pounds(one.expected_pence),
                "equal" if one.reconciled else "DIFFERS", f"{one.runs:,}", _wait(one.wait_p50_ms), _wait(one.wait_p95_ms),
            )
            for name, one in by_size
        ],
    )  # fmt: skip
    say("")
    for name, ticks in (("stream", found.stream_ticks), ("two whole days", found.two_days_ticks)):
        if ticks.schedules:
            say(f"Schedules, {name}: {ticks.schedules} schedules, {ticks.due:,} ticks due, {ticks.ran:,} ran.")
    if found.killed:
        say(f"Workers killed with SIGKILL: {found.killed}.")
    runs = sum(found.runs.values())
    say(
        f"{runs:,} runs in {duration(found.seconds)}, {found.retries:,} retries, {found.lost:,} lost, "
        f"at most {found.peak_rss_mb:,.0f} MB. Revenue {pounds(found.revenue_pence)}.",
        bold=True,
    )
    if found.reconciled:
        say("Every tenant's books equal the file, to the penny.", fg="green")


def pounds(pence: int) -> str:
    """Pence as pounds."""
    return f"{'-' if pence < 0 else ''}£{abs(pence) // 100:,}.{abs(pence) % 100:02d}"


def _wait(milliseconds: float | None) -> str | None:
    return None if milliseconds is None else duration(milliseconds / 1000)
