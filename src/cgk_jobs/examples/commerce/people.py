"""Who gets what: addresses of customers and creators, and the tenant's settings."""

from __future__ import annotations

from sqlite3 import Connection

__all__ = ["creator_email", "customer_of_order", "setting"]


def setting(db: Connection, name: str, default: str) -> str:
    """A setting of the tenant."""
    row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else default


def creator_email(db: Connection, creator_id: str) -> str | None:
    """Where a creator reads mail; ``None`` for an unknown one."""
    row = db.execute("SELECT email FROM creators WHERE creator_id = ?", (creator_id,)).fetchone()
    return str(row[0]) if row else None


def customer_of_order(db: Connection, order_id: str) -> tuple[str, str] | None:
    """Customer and mail address of an order; ``None`` for guests and customers without an address."""
    row = db.execute(
        "SELECT customer_id, email FROM orders JOIN customers USING (customer_id)"
        " WHERE order_id = ? AND kind = 'created' AND email IS NOT NULL",
        (order_id,),
    ).fetchone()
    return (str(row[0]), str(row[1])) if row else None
