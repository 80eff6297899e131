"""A commerce platform's background jobs: 257 tasks in 32 categories, 140 of them on a schedule.

Two hundred work for real against the tenants' own databases; the others, which need a vendor this example has no double
for, are tagged ``simulated`` and only log what they would do. A task that both a schedule and an event start is declared
twice (``tasks/__init__.py``), which makes 284 in all with the one task whose event is the example's own. ::

    app, groups = build(Path("shops"))
    for group in groups:
        jobs.include(group)
"""

from __future__ import annotations

from pathlib import Path

from cgk_jobs import TaskGroup
from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.examples.commerce.application import Commerce
from cgk_jobs.examples.commerce.store import Shops
from cgk_jobs.examples.commerce.vendors import VendorDoubles

__all__ = ["Commerce", "build"]


def build(
    folder: Path | None,
    *,
    clock: Clock | None = None,
    vendors: VendorDoubles | None = None,
) -> tuple[Commerce, list[TaskGroup]]:
    """The application with its databases in ``folder`` (``None``: in memory), and its tasks, ready to be included.

    ``clock`` should be the one the ``Jobs`` object has. ``vendors``: doubles that are slow or fail; the default ones are
    neither, and closed by ``app.close()``. Tenants' databases start empty; ``seed.plant`` fills them with creators, an experiment and the like.
    """
    doubles = vendors or VendorDoubles(folder)
    app = Commerce(
        shops=Shops(folder and folder / "tenants"),
        clock=clock or SystemClock(),
        mailer=doubles,
        sms=doubles,
        chat=doubles,
        payments=doubles,
        endpoint=doubles,
        ads=doubles,
    )
    if vendors is None:
        app.owned.callback(doubles.close)
    return app, app.groups()
