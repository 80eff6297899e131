"""A database per tenant: one SQLite file each, reachable only while its tenant is current."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from types import TracebackType

from cgk_jobs.errors import InvalidEvent
from cgk_jobs.tenancy import PLATFORM, current_tenant, is_tenant_id, require_same_tenant, require_scope

__all__ = ["Shops"]

KEEP_OPEN = 64
SCHEMA_VERSION = 1
BUSY_SECONDS = 10.0


class Shops:
    """The tenants' databases, opened when first asked for; the 64 used last stay open.

    ``folder`` ``None`` keeps them in memory, which is for tests. A handler writes like this, and awaits nothing inside::

        with app.shops.current() as db:      # BEGIN IMMEDIATE … COMMIT, or ROLLBACK if the block raises
            db.execute("INSERT …")

    Files are not flushed at each commit (``synchronous=NORMAL``): what was committed survives a killed process; after a
    power failure the newest transactions may be gone, and the runs that made them are not.
    """

    def __init__(self, folder: Path | None, keep_open: int = KEEP_OPEN) -> None:
        self._folder = folder
        self._keep_open = keep_open
        self._open: OrderedDict[str, _Shop] = OrderedDict()
        self._opening = threading.Lock()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def current(self) -> _Shop:
        """The current tenant's database, as a transaction. Raises ``TenantRequired`` where no tenant is current."""
        return self._shop(current_tenant())

    def of(self, tenant_id: str) -> _Shop:
        """The database of the tenant named, as a transaction.

        Raises ``TenantMismatch`` while another tenant is current, and ``TenantRequired`` outside any scope: reports that
        read several tenants say so with ``across_tenants``.
        """
        require_scope()
        require_same_tenant(tenant_id)
        return self._shop(tenant_id)

    def revenue_pence(self, tenant_id: str) -> int:
        """What the tenant's orders, refunds and corrections add up to, in the minor unit of its currency."""
        with self.of(tenant_id) as db:
            return int(db.execute("SELECT coalesce(sum(amount_cents), 0) FROM orders").fetchone()[0])

    def order_count(self, tenant_id: str) -> int:
        """How many invoices of any kind were booked."""
        with self.of(tenant_id) as db:
            return int(db.execute("SELECT count(*) FROM orders").fetchone()[0])

    def close(self) -> None:
        """Close every database."""
        with self._opening:
            while self._open:
                self._open.popitem()[1].close()

    def _shop(self, tenant_id: str) -> _Shop:
        try:
            shop = self._open[tenant_id]
            self._open.move_to_end(tenant_id)
        except KeyError:  # not open, or closed by another thread in between
            return self._add_shop(tenant_id)
        return shop

    def _add_shop(self, tenant_id: str) -> _Shop:
        if tenant_id != PLATFORM and not is_tenant_id(tenant_id):
            raise InvalidEvent(f"{tenant_id!r} is no tenant id, so it names no database")
        with self._opening:
            shop = self._open.get(tenant_id)
            if shop is None:
                shop = self._open[tenant_id] = _Shop(partial(self._connect, tenant_id))
                if self._folder is not None:
                    self._close_the_oldest()
            return shop

    def _close_the_oldest(self) -> None:
        for tenant_id, shop in list(self._open.items())[: -self._keep_open]:
            if shop.close():
                del self._open[tenant_id]

    def _connect(self, tenant_id: str) -> sqlite3.Connection:
        path = ":memory:" if self._folder is None else str(self._folder / f"{tenant_id}.db")
        db = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        db.execute("PRAGMA synchronous = NORMAL")
        _use_wal(db)
        if db.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
            schema = files(__package__ or "").joinpath("schema.sql").read_text(encoding="utf-8")
            db.executescript(f"BEGIN IMMEDIATE; {schema}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
        return db


class _Shop:
    """One database. Entering it begins a transaction; one thread at a time, and no transaction within another.

    Closed to make room for others, it opens again when entered: a thread may have asked for it just before.
    """

    __slots__ = ("_connect", "_db", "_lock")

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._db: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        try:
            db = self._db
            if db is None:
                db = self._db = self._connect()
            if db.in_transaction:
                raise RuntimeError("a transaction of this tenant is open already: await nothing inside `with`")
            db.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        return db

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            db = self._db
            if db is not None and db.in_transaction:
                try:
                    db.execute("COMMIT" if kind is None else "ROLLBACK")
                except sqlite3.Error:
                    db.rollback()
                    raise
        finally:
            self._lock.release()

    def close(self) -> bool:
        """Close it unless it is in use; says whether it did."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._db is not None:
                if self._db.in_transaction:
                    return False
                self._db.close()
                self._db = None
            return True
        finally:
            self._lock.release()


def _use_wal(db: sqlite3.Connection) -> None:
    # Turning the log on takes the file for itself, and SQLite does not wait for that as it does for other locks:
    # two processes that open a new tenant at the same moment would meet here.
    for attempt in range(200):
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if attempt == 199:
                raise
            time.sleep(0.005)
