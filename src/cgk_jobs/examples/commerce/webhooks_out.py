"""Webhooks to subscribers: tried at once, repeated after growing waits, given up after the last.

A subscriber that fails changes nothing about the others: every delivery has its own attempts and its own next moment.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any, Literal

from cgk_jobs.examples.commerce.days import DAY
from cgk_jobs.examples.commerce.vendors import VendorUnavailable
from cgk_jobs.tenancy import current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["BATCH_SIZE", "OUTBOUND", "SIGN_CALLBACKS", "Deliveries", "Outcome"]

BATCH_SIZE = 100
"""Deliveries that one run of the queue tries."""
AT_ONCE = 10
"""Deliveries under way at the same time: a subscriber that hangs takes one of these places, not the run."""

Outcome = Literal["delivered", "waiting", "dead", "settled"]
"""``settled``: there was nothing left to do, or no such delivery."""


class Deliveries:
    """The deliveries of one table.

    ``waits``: seconds from a failed try to the next one. The first try comes at once and each wait is followed by one
    more; when that of the last wait fails, the delivery is dead.
    """

    def __init__(self, table: Literal["deliveries", "sign_callbacks"], waits: tuple[float, ...]) -> None:
        self.waits = waits
        self._table = table

    def _sql(self, statement: str) -> str:
        # Both tables have the same columns, and both names are written in this file.
        return statement.replace("deliveries", self._table)

    def fan_out(self, db: Connection, topic: str, message_id: str, body: dict[str, Any], now: int) -> list[str]:
        """Enter a delivery to every subscriber of ``topic``; the ids of those that are new."""
        return [
            str(row[0])
            for row in db.execute(
                self._sql(
                    "INSERT INTO deliveries (delivery_id, endpoint, body, due_at)"
                    " SELECT ?1 || ':' || endpoint, endpoint, ?2, ?3 FROM webhook_subscribers WHERE topic = ?4"
                    " ON CONFLICT DO NOTHING RETURNING delivery_id"
                ),
                (message_id, json.dumps(body, sort_keys=True), now, topic),
            ).fetchall()
        ]

    async def deliver(self, app: Commerce, delivery_id: str) -> Outcome:
        """Try one delivery that is not settled, due or not; the delivery's id is its key at the subscriber."""
        with app.shops.current() as db:
            row = db.execute(
                self._sql(
                    "SELECT endpoint, body, attempts FROM deliveries WHERE delivery_id = ? AND state = 'pending'"
                ),
                (delivery_id,),
            ).fetchone()
        if row is None:
            return "settled"
        endpoint, body, attempts = row
        try:
            await app.endpoint.deliver(current_tenant(), delivery_id, endpoint, body)
        except VendorUnavailable:
            return self._put_off(app, delivery_id, attempts)
        with app.shops.current() as db:
            db.execute(
                self._sql(
                    "UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, due_at = ? WHERE delivery_id = ?"
                ),
                (app.now(), delivery_id),
            )
        return "delivered"

    def _put_off(self, app: Commerce, delivery_id: str, attempts: int) -> Outcome:
        over = attempts >= len(self.waits)
        due_at = app.now() + (0 if over else round(self.waits[attempts] * 1e6))
        with app.shops.current() as db:
            # Guarded by the count that was read: of two runs that tried the same delivery, one counts.
            db.execute(
                self._sql(
                    "UPDATE deliveries SET state = ?, attempts = attempts + 1, due_at = ?"
                    " WHERE delivery_id = ? AND state = 'pending' AND attempts = ?"
                ),
                ("dead" if over else "pending", due_at, delivery_id, attempts),
            )
        return "dead" if over else "waiting"

    async def deliver_due(self, app: Commerce, most: int = BATCH_SIZE) -> dict[str, int]:
        """Try up to ``most`` deliveries that are due, the longest due first; says how many ended how."""
        with app.shops.current() as db:
            due = [
                str(row[0])
                for row in db.execute(
                    self._sql(
                        "SELECT delivery_id FROM deliveries WHERE state = 'pending' AND due_at <= ?"
                        " ORDER BY due_at LIMIT ?"
                    ),
                    (app.now(), most),
                ).fetchall()
            ]
        outcomes: Counter[str] = Counter()
        places = asyncio.Semaphore(AT_ONCE)

        async def try_one(delivery_id: str) -> None:
            async with places:
                outcomes[await self.deliver(app, delivery_id)] += 1

        async with asyncio.TaskGroup() as tries:
            for delivery_id in due:
                tries.create_task(try_one(delivery_id))
        return dict(outcomes)

    def forget_delivered(self, db: Connection, now: int, days: int = 30) -> int:
        """Delete what was delivered more than ``days`` days ago; dead ones stay for people to look at."""
        return db.execute(
            self._sql("DELETE FROM deliveries WHERE state = 'delivered' AND due_at < ?"), (now - days * DAY,)
        ).rowcount

    def backlog(self, db: Connection, now: int) -> tuple[int, float]:
        """How many deliveries are overdue, and for how many seconds the oldest has been."""
        count, oldest = db.execute(
            self._sql("SELECT count(*), min(due_at) FROM deliveries WHERE state = 'pending' AND due_at <= ?"), (now,)
        ).fetchone()
        return int(count), (now - oldest) / 1e6 if count else 0.0


OUTBOUND = Deliveries("deliveries", (60, 300, 1_800, 7_200, 86_400))
"""Repeated after a minute, 5 minutes, half an hour, 2 hours and a day."""
SIGN_CALLBACKS = Deliveries("sign_callbacks", (60, 120, 240, 480, 960))
"""Repeated after a minute, and after twice as long each time; five times, so the limit of an hour is never reached."""
