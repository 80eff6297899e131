"""``cgk jobs bench``: how fast this machine is with this package."""

from __future__ import annotations

import click

from cgk_jobs.cli.console import say, show_json
from cgk_jobs.cli.options import json_option
from cgk_jobs.cli.progress import Progress
from cgk_jobs.cli.tables import Column, show_table

__all__ = ["bench"]

_COLUMNS = (
    Column("MEASURE"),
    Column("MEDIAN", right=True),
    Column("LOWEST", right=True, optional=2),
    Column("HIGHEST", right=True, optional=3),
    Column("UNIT"),
    Column("FLOOR", right=True, optional=1, colour=lambda text: "red" if "short" in text else None),
)
_UNITS = {
    "per_second": "a second",
    "share_of_insert": "of a plain insert",
    "share_of_few": "of that with 10",
    "share_of_plain": "of that without",
    "peak_mb": "MB at most",
    "p50_ms": "ms, half of them",
    "p95_ms": "ms, 95 of 100",
    "p99_ms": "ms, 99 of 100",
    "per_second_without": "a second, none asleep",
    "per_second_tenth": "a second, a tenth as many",
    "step_10_us": "us a step, the run has 10",
    "step_100_us": "us a step, the run has 100",
    "step_1000_us": "us a step, the run has 1,000",
    "answer_10_us": "us an answered step of 10",
    "answer_100_us": "us an answered step of 100",
    "answer_1000_us": "us an answered step of 1,000",
}


@click.command()
@click.option("--repeat", type=click.IntRange(1, 100), default=3, show_default=True, help="How often each is measured.")
@click.option(
    "--measure", "names", multiple=True, metavar="NAME", help="Only this measure; may be given several times."
)
@click.option(
    "--database-url",
    "server",
    metavar="URL",
    help="Measure on this PostgreSQL server; the login makes a database for each measure, and drops it.",
)
@json_option
def bench(*, repeat: int, names: tuple[str, ...], server: str | None, as_json: bool) -> None:
    """Measure sends, runs and start times on this machine, everything on, in ledgers of its own."""
    from cgk_jobs.benchmarks.measures import MEASURES
    from cgk_jobs.benchmarks.report import machine, measure_all

    total = repeat * len(names or MEASURES)
    with Progress("measuring", total) as bar:
        done = 0

        def told(name: str) -> None:
            nonlocal done
            bar.at(done, name)
            done += 1

        figures = measure_all(repeat, list(names), told, server)
        bar.at(total)
    if as_json:
        show_json(
            {
                "machine": machine(),
                "repetitions": repeat,
                "figures": [
                    {
                        "measure": figure.measure,
                        "unit": figure.unit,
                        "median": figure.median,
                        "lowest": figure.lowest,
                        "highest": figure.highest,
                        "floor": figure.floor,
                        "reached": figure.reached,
                    }
                    for figure in figures
                ],
            }
        )
        return
    rows = [
        (
            figure.measure, _number(figure.median), _number(figure.lowest), _number(figure.highest), _UNITS[figure.unit],
            None if figure.floor is None else _number(figure.floor) + ("" if figure.reached else " (short)"),
        )
        for figure in figures
    ]  # fmt: skip
    show_table(_COLUMNS, rows)
    say(f"{machine()}; {repeat} repetitions in turns")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
