"""The ``crons`` of ``vercel.json``: when Vercel's clock rings.

It knows five fields in UTC and nothing else: no time zones, no names. So it is given one entry that rings for everything, and
which ticks are due at a ring the application's schedules decide, in their own zones; each fires once, whatever rings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, cast

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.provider import PlannedTick
from cgk_jobs.providers.vercel_cron.settings import CRON_PATH, VercelPlan
from cgk_jobs.tasks.schedule import Cron

__all__ = ["EVERY", "MOST", "entry", "too_frequent", "with_crons"]

MOST = 100
"""Entries a project may have, at Vercel."""
EVERY = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
"""Minutes between two rings that cron can say."""
TICK = "tick"


def entry(mount: str, plan: VercelPlan, *, every: int = 1, at: tuple[int, int] = (4, 0)) -> dict[str, str]:
    """What the clock is told. ``mount``: the path below which ``jobs.asgi()`` is served, without a slash at its end.

    Each ``every`` minutes; on the Hobby plan, whose clock rings once a day and within the hour, at ``at`` (hour, minute, UTC).
    """
    if plan == "hobby":
        schedule = f"{at[1]} {at[0]} * * *"
    elif every == 60:
        schedule = "0 * * * *"
    else:
        schedule = "* * * * *" if every == 1 else f"*/{every} * * * *"
    return {"path": f"{mount}{CRON_PATH}{TICK}", "schedule": schedule}


def too_frequent(ticks: Iterable[PlannedTick], now: datetime) -> list[str]:
    """The schedules with several ticks a day: one ring a day brings those of a day together, or by their policy only the last."""
    return sorted({tick.task for tick in ticks if not _daily_at_most(tick, now)})


def _daily_at_most(tick: PlannedTick, now: datetime) -> bool:
    cron = Cron(tick.expression, tick.timezone)
    first = cron.next_after(now)
    for _ in range(10):
        second = cron.next_after(first)
        # A day on which clocks are put forward has 23 hours.
        if second - first < timedelta(hours=22):
            return False
        first = second
    return True


def with_crons(text: str, ours: dict[str, str]) -> str:
    """``vercel.json`` with our entry in its ``crons``, in place of those we wrote before; everything else stays as it is.

    Ours are those of a path that ends in ``/cron/tick``. Raises ``NotConfigured`` for a file that can't be merged with.
    """
    config = _parsed(text)
    crons: object = config.get("crons", [])
    if not isinstance(crons, list):
        raise NotConfigured('vercel.json: "crons" must be a list: mend it, or remove it and try again')
    others = [cron for cron in cast("list[object]", crons) if not _is_ours(cron)]
    if len(others) >= MOST:
        raise NotConfigured(f"vercel.json has {len(others)} crons of others, and Vercel takes {MOST}: remove one")
    config["crons"] = [*others, ours]
    indent = re.search(r'\n([ \t]+)"', text)
    return json.dumps(config, indent=indent[1] if indent else 2, ensure_ascii=False) + "\n"


def _parsed(text: str) -> dict[str, Any]:
    if not text.strip():
        return {"$schema": "https://openapi.vercel.sh/vercel.json"}
    try:
        config = json.loads(text)
    except ValueError as error:
        raise NotConfigured(f"vercel.json is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise NotConfigured("vercel.json must hold one JSON object")
    return cast("dict[str, Any]", config)


def _is_ours(cron: object) -> bool:
    if not isinstance(cron, dict):
        raise NotConfigured('vercel.json: each of "crons" must be an object: mend it, or remove it and try again')
    return str(cast("dict[str, Any]", cron).get("path", "")).endswith(CRON_PATH + TICK)
