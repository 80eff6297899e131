"""kill -9 at every named point, at its first passage and at later ones, while all stories are told at once.

    python -m tests.full.kill_points                            SQLite, some minutes; exit code 1 if anything is wrong
    python -m tests.full.kill_points --postgres                 the points of PostgreSQL, on a server of its own
    python -m tests.full.kill_points --point "vendor told"      one point (may be repeated)
    python -m tests.full.kill_points --passages 1 2 3 5 8 13    other passages

A later passage that a story does not come to is no kill, and is counted apart; a first passage must be come to.
The points are those of ``tests/reliability/kill_points/points.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from tests.reliability.kill_points.lives import NeverPassed, kill_at
from tests.reliability.kill_points.points import POINTS, POSTGRES_POINTS, Point
from tests.reliability.kill_points.stories import ALL
from tests.servers.ledgers import Ledgers
from tests.servers.postgres import running_server

PASSAGES = (1, 2, 3, 5, 8)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Kill processes at every named point, and judge what becomes of it.")
    parser.add_argument("--point", action="append", help="only this point (may be repeated)")
    parser.add_argument("--passages", type=int, nargs="+", default=PASSAGES, help="at which passages to kill")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL")
    options = parser.parse_args(arguments)
    began = perf_counter()
    points = [
        point
        for point in (POSTGRES_POINTS if options.postgres else POINTS)
        if not options.point or point.name in options.point
    ]
    kills = never = wrong = 0
    with contextlib.contextmanager(_ledgers)(options.postgres) as ledgers:
        for point in points:
            for passage in options.passages:
                for stories in _stories(point):
                    found = _kill(point, passage, stories, ledgers)
                    if found is None:
                        never += 1
                        if passage > 1:
                            continue
                        found = ["the point was never passed"]
                    kills += 1
                    wrong += bool(found)
                    for complaint in found:
                        print(f"{point.name}, passage {passage}, {' and '.join(stories)}: {complaint}", flush=True)
            print(f"{point.name}: done", file=sys.stderr, flush=True)
    print(
        f"{len(points)} points, {kills} kills, {wrong} left something wrong; {never} passages were not come to; "
        f"{perf_counter() - began:.0f} s"
    )
    return 1 if wrong or not points else 0


def _stories(point: Point) -> Iterator[tuple[str, ...]]:
    yield (point.story,)
    if point.story in ALL:
        yield ALL


def _ledgers(postgres: bool) -> Iterator[Ledgers | None]:
    if not postgres:
        yield None
        return
    with contextlib.contextmanager(running_server)() as server:
        ledgers = Ledgers(server)
        yield ledgers
        ledgers.close()


def _kill(point: Point, passage: int, stories: tuple[str, ...], ledgers: Ledgers | None) -> list[str] | None:
    database = None if ledgers is None else ledgers.fresh()
    try:
        with tempfile.TemporaryDirectory(prefix="cgk-jobs-kill-") as folder:
            return kill_at(point, Path(folder), passage=passage, stories=stories, database=database)
    except NeverPassed:
        return None
    finally:
        if ledgers is not None and database is not None:
            ledgers.drop(database)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
