"""The statements of the example keep to what the oldest supported SQLite, 3.35, understands."""

import ast
import re
from datetime import date
from pathlib import Path

import pytest
from tests.unit.examples.shop import Shop

from cgk_jobs.examples import commerce
from cgk_jobs.examples.commerce.agents import bill_voice
from cgk_jobs.examples.commerce.billing import count_day
from cgk_jobs.examples.commerce.figures import measure_week
from cgk_jobs.examples.commerce.review_mails import count_day as count_review_mails

SOURCES = sorted(Path(commerce.__file__).parent.rglob("*.py"))
NEWER = re.compile(r"->>|\bunixepoch\(|\b(RIGHT|FULL) (OUTER )?JOIN\b|\bIS (NOT )?DISTINCT FROM\b|\bstring_agg\(")
"""Operators and functions of SQLite 3.38 and later."""
MONDAY = date(2026, 3, 2)


def texts_of(source: Path) -> list[str]:
    """Every string of a module; neighbouring literals are one."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_statement_needs_a_newer_sqlite(source: Path) -> None:
    statements = texts_of(source)
    # HAVING over the whole table, without GROUP BY, came with 3.39.
    assert not [text for text in statements if "HAVING" in text and "GROUP BY" not in text]
    assert not [text for text in statements if NEWER.search(text)]


def test_nothing_to_count_writes_no_row(shop: Shop) -> None:
    before = shop.changes()
    with shop.app.shops.current() as db:
        assert measure_week(db, MONDAY) is False
        assert bill_voice(db, MONDAY) == 0
        count_day(db, MONDAY)
        count_review_mails(db, MONDAY)
    assert shop.changes() == before


def test_a_week_is_one_row_beside_the_week_before_and_a_rerun_overwrites_it(shop: Shop) -> None:
    days = "INSERT INTO metric_days (day_on, orders, revenue_cents, refunds_cents, customers) VALUES (?, ?, ?, 0, 1)"
    for day_on, orders, cents in (
        ("2026-02-22", 9, 900),
        ("2026-02-23", 1, 10),
        ("2026-03-01", 1, 20),
        ("2026-03-02", 2, 300),
        ("2026-03-08", 3, 400),
        ("2026-03-09", 9, 900),
    ):
        shop.execute(days, day_on, orders, cents)
    for _ in range(2):
        with shop.app.shops.current() as db:
            assert measure_week(db, MONDAY) is True
    assert shop.rows("SELECT week_on, orders, revenue_cents, before_cents FROM metric_weeks") == [
        ("2026-03-02", 5, 700, 30)
    ]
