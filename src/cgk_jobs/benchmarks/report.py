"""Running every measure several times, in turns, and saying on what machine."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass

from cgk_jobs.benchmarks.ledgers import fresh_ledger
from cgk_jobs.benchmarks.measures import MEASURES
from cgk_jobs.errors import JobsError

__all__ = ["Figure", "machine", "measure_all"]

_Floors = dict[tuple[str, str], float]

SQLITE_FLOORS: _Floors = {
    ("runs finished", "per_second"): 25_000,
    ("runs finished", "peak_mb"): 100,
    ("sequential sends", "per_second"): 10_000,
    ("64 concurrent senders", "per_second"): 40_000,
    ("batch sends", "per_second"): 80_000,
    ("start, same process", "p50_ms"): 1.0,
    ("start, other process", "p50_ms"): 2.0,
}
POSTGRES_FLOORS: _Floors = {
    ("runs finished", "per_second"): 20_000,
    ("runs finished", "peak_mb"): 100,
    ("runs finished by two", "per_second"): 32_000,
    ("10,000 tenants", "share_of_few"): 0.9,
    ("with a limit", "share_of_plain"): 0.85,
    ("sequential sends", "share_of_insert"): 0.75,
    ("64 concurrent senders", "per_second"): 20_000,
    ("batch sends", "per_second"): 45_000,
    ("start, same process", "p50_ms"): 3.0,
    ("start, other process", "p50_ms"): 3.0,
}
"""What the package means to reach on two shared cores; memory and milliseconds at most, the others at least."""
_SLOWER_BY = 4
"""So many times fewer events on PostgreSQL for sends that wait for its disk one by one."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one measure over its repetitions."""

    measure: str
    unit: str
    median: float
    lowest: float
    highest: float
    floor: float | None
    """What is meant to be reached, if there is such a figure."""

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches it."""
        if self.floor is None:
            return None
        return (
            self.median >= self.floor if self.unit.startswith(("per_second", "share_of")) else self.median <= self.floor
        )


def measure_all(
    repetitions: int, names: list[str], told: Callable[[str], None], server: str | None = None
) -> list[Figure]:
    """Every measure named (all if none is), ``repetitions`` times in turns. ``told`` hears what is being done.

    ``server``: where to measure on PostgreSQL, see ``fresh_ledger``; else on SQLite.
    """
    unknown = set(names) - MEASURES.keys()
    if unknown:
        raise JobsError(f"there is no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    found: dict[tuple[str, str], list[float]] = {}
    for turn in range(1, repetitions + 1):
        for name in names or MEASURES:
            told(f"{name} ({turn} of {repetitions})")
            for unit, value in _measure(name, server).items():
                found.setdefault((name, unit), []).append(value)
    floors = SQLITE_FLOORS if server is None else POSTGRES_FLOORS
    return [
        Figure(name, unit, statistics.median(values), min(values), max(values), floors.get((name, unit)))
        for (name, unit), values in sorted(found.items(), key=lambda item: list(MEASURES).index(item[0][0]))
    ]


def _measure(name: str, server: str | None) -> dict[str, float]:
    count = MEASURES[name][1]
    if server is not None and name == "sequential sends":
        count //= _SLOWER_BY
    with fresh_ledger(server) as ledger:
        answer = subprocess.run(  # noqa: S603  # this very Python, and a measure's name from the table
            [sys.executable, "-m", "cgk_jobs.benchmarks.measures", name, ledger, str(count)],
            capture_output=True,
            text=True,
            check=False,
        )
    if answer.returncode:
        raise JobsError(f"measure {name!r} failed: {answer.stderr.strip()[-500:]}")
    result: dict[str, float] = json.loads(answer.stdout)
    return result


def machine() -> str:
    """Python, its build, SQLite, system and cores, in a line: a figure without them says little."""
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return (
        f"{platform.python_implementation()} {platform.python_version()} "
        f"({'optimised' if optimised else 'not optimised'} build), SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    )
