"""kill -9 at every named point of engine and runtime (S1): the work is ended right, and nothing that was stored is done twice.

Each point is tried at its first passage; ``python -m tests.full.kill_points`` tries later ones too, with all stories told at
once.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.reliability.kill_points.lives import kill_at
from tests.reliability.kill_points.points import POINTS, POSTGRES_POINTS, Point
from tests.servers.postgres import LedgerDatabase


def _name(point: Point) -> str:
    return point.name


@pytest.mark.parametrize("point", POINTS, ids=_name)
def test_s1_a_process_killed_at_a_point_leaves_work_that_ends_right(point: Point, tmp_path: Path) -> None:
    assert kill_at(point, tmp_path) == []


@pytest.mark.parametrize("point", POSTGRES_POINTS, ids=_name)
def test_s1_on_postgresql(point: Point, tmp_path: Path, postgres_database: LedgerDatabase) -> None:
    assert kill_at(point, tmp_path, database=postgres_database) == []


def test_there_are_at_least_40_points_each_with_a_name_and_a_meaning_of_its_own() -> None:
    points = (*POINTS, *POSTGRES_POINTS)
    assert len(POINTS) >= 40
    assert len({point.name for point in points}) == len(points)
    for table in (POINTS, POSTGRES_POINTS):
        assert len({point._replace(name="", means="") for point in table}) == len(table)
    assert all(point.means for point in points)
    assert all(point.after in {"", *(other.name for other in points)} for point in points)
