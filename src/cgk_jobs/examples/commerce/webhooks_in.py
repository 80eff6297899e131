"""Webhooks of the shop, kept before they are understood. What could not be handed on at once is tried again here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs import Context, Event, InvalidEvent
from cgk_jobs.events.catalogue.commerce import (
    CustomerCreated,
    OrderCancelled,
    OrderFulfilled,
    OrderPaid,
    OrderReceived,
)
from cgk_jobs.events.catalogue.system import ShopAppUninstalled
from cgk_jobs.examples.commerce.days import DAY

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["BATCH_SIZE", "MOST_TRIES", "TOPICS", "accept", "forget_old", "hand_on_waiting"]

BATCH_SIZE = 50
"""Events that one run hands on."""
MOST_TRIES = 3
"""Tries of one event, all within a day of its arrival."""
GRACE = 60_000_000
"""Microseconds a fresh event is left to the process that took it in."""

TOPICS: Mapping[str, type[Event]] = {
    "orders/create": OrderReceived,
    "orders/paid": OrderPaid,
    "orders/fulfilled": OrderFulfilled,
    "orders/cancelled": OrderCancelled,
    "customers/create": CustomerCreated,
    "app/uninstalled": ShopAppUninstalled,
}

PICK = """
    UPDATE inbound_events SET attempts = attempts + 1 WHERE event_id IN (
        SELECT event_id FROM inbound_events
        WHERE state IN ('pending', 'failed') AND attempts < :tries AND received_at BETWEEN :since AND :until
        ORDER BY received_at LIMIT :most)
    RETURNING event_id, topic
"""
PICK_ONE = """
    UPDATE inbound_events SET attempts = attempts + 1
    WHERE event_id = ? AND state IN ('pending', 'failed') RETURNING event_id, topic
"""


def accept(db: Connection, event_id: str, topic: str, body: str, now: int) -> bool:
    """Keep what the shop sent, whatever it is; false if it sent it before."""
    new = db.execute(
        "INSERT INTO inbound_events (event_id, topic, received_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (event_id, topic, now),
    )
    if new.rowcount != 1:
        return False
    db.execute("INSERT INTO inbound_bodies (event_id, body) VALUES (?, ?) ON CONFLICT DO NOTHING", (event_id, body))
    return True


async def hand_on_waiting(app: Commerce, ctx: Context, event_id: str | None = None) -> int:
    """Send the events that wait, or the one named, into the application; says how many went.

    A try is counted before it is made, so an event that brings the process down is given up like any other. One that
    cannot be understood is given up at once, and the rest go on.
    """
    with app.shops.current() as db:
        if event_id is not None:
            picked = db.execute(PICK_ONE, (event_id,)).fetchall()
        else:
            now = app.now()
            limits = {"tries": MOST_TRIES, "since": now - DAY, "until": now - GRACE, "most": BATCH_SIZE}
            picked = db.execute(PICK, limits).fetchall()
    sent = 0
    for picked_id, topic in picked:
        event = _read(app, ctx.tenant_id, picked_id, topic)
        if event is not None:
            await ctx.send(event, key=f"inbound:{picked_id}")
            sent += 1
        with app.shops.current() as db:
            db.execute(
                "UPDATE inbound_events SET state = ?1, attempts = CASE ?1 WHEN 'failed' THEN ?2 ELSE attempts END"
                " WHERE event_id = ?3",
                ("failed" if event is None else "done", MOST_TRIES, picked_id),
            )
    return sent


def forget_old(db: Connection, now: int, days: int = 30) -> int:
    """Delete what was received more than ``days`` days ago."""
    before = now - days * DAY
    db.execute(
        "DELETE FROM inbound_bodies WHERE event_id IN (SELECT event_id FROM inbound_events WHERE received_at < ?)",
        (before,),
    )
    return db.execute("DELETE FROM inbound_events WHERE received_at < ?", (before,)).rowcount


def _read(app: Commerce, tenant_id: str, event_id: str, topic: str) -> Event | None:
    kind = TOPICS.get(topic)
    with app.shops.current() as db:
        row = db.execute("SELECT body FROM inbound_bodies WHERE event_id = ?", (event_id,)).fetchone()
    if kind is None or row is None:
        return None
    try:
        # The shop's body says nothing about tenants: whose it is was decided by the address it came in at.
        return kind.from_json(json.dumps({**json.loads(row[0]), "tenant_id": tenant_id}))
    except (InvalidEvent, ValueError, TypeError):
        return None
