"""The outside world: what the application asks of it, and doubles that answer within this process.

A double takes time (``delay``) and fails (``failure_rate``) if told to. Half of its failures come before the work and half
after it: the answer is lost although the money moved, which is what idempotency keys are for. Every double refuses to
act twice for one key, across processes too: what it did is a row of ``vendors.db``.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from cgk_jobs import NonRetryable

__all__ = [
    "AdPlatform",
    "Answer",
    "CardDeclined",
    "Chat",
    "Done",
    "Endpoint",
    "Mailer",
    "PaymentGateway",
    "SmsGateway",
    "TransferState",
    "VendorDoubles",
    "VendorUnavailable",
]


TransferState = Literal["pending", "paid", "failed"]
BAR = "bar"


class VendorUnavailable(Exception):
    """The vendor did not answer; whether it acted is unknown. Worth another attempt with the same key."""


class CardDeclined(Exception):
    """The customer's bank refused; nothing was charged, and the key stays free for another attempt."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a vendor gives back. ``repeated``: the key was known, and nothing happened this time."""

    reference: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class Done:
    """One thing a double did."""

    vendor: str
    action: str
    tenant_id: str
    key: str
    target: str
    detail: str
    amount_cents: int


class Mailer(Protocol):
    """Sends mail."""

    async def mail(self, tenant_id: str, key: str, recipient: str, template: str, reference: str = "") -> Answer: ...


class SmsGateway(Protocol):
    """Sends text messages."""

    async def text(self, tenant_id: str, key: str, recipient: str, body: str) -> Answer: ...


class Chat(Protocol):
    """Posts to a channel of the team."""

    async def post(self, tenant_id: str, key: str, channel: str, message: str) -> Answer: ...


class PaymentGateway(Protocol):
    """Takes money from customers and sends it to creators and the treasury.

    One key moves money once. ``charge`` raises ``CardDeclined``. ``transfer`` pays out ``into`` another currency at the
    rate of ``provider`` where one is given, and raises ``NonRetryable`` for a closed account. ``bar`` sees to it that a key
    moves none from now on: a transfer with it is ``NonRetryable``; where it did already, it answers the transfer's
    reference. Each raises ``VendorUnavailable``.
    """

    async def charge(self, tenant_id: str, key: str, customer: str, amount_cents: int, currency: str) -> Answer: ...

    async def transfer(
        self, tenant_id: str, key: str, recipient: str, amount_cents: int, currency: str, provider: str, into: str = ""
    ) -> Answer: ...

    async def transfer_state(self, tenant_id: str, key: str) -> TransferState: ...

    async def bar(self, tenant_id: str, key: str) -> str | None: ...

    async def credit(self, tenant_id: str, key: str, customer: str, amount_cents: int, currency: str) -> Answer: ...


class Endpoint(Protocol):
    """Delivers a webhook."""

    async def deliver(self, tenant_id: str, key: str, url: str, body: str) -> Answer: ...


class AdPlatform(Protocol):
    """Takes the report of a purchase."""

    async def purchase(
        self, tenant_id: str, key: str, platform: str, order_id: str, amount_cents: int, currency: str
    ) -> Answer: ...


class VendorDoubles:
    """Every vendor at once.

    ``delay``: seconds each call takes. ``failure_rate``: the share of calls that raise ``VendorUnavailable``, drawn from
    ``seed``. ``folder`` ``None`` keeps the record in memory. Cards of the customers in ``declining`` are refused, accounts
    of the creators in ``closed`` take no transfer; transfers whose key is in ``transfer_states`` are in the state it names,
    all others were paid at once.
    """

    def __init__(
        self, folder: Path | None = None, *, delay: float = 0.0, failure_rate: float = 0.0, seed: int = 1
    ) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.declining: set[str] = set()
        self.closed: set[str] = set()
        self.transfer_states: dict[str, TransferState] = {}
        self._delay = delay
        self._failure_rate = failure_rate
        self._dice = random.Random(seed)  # noqa: S311 - nothing here is a secret
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            ":memory:" if folder is None else str(folder / "vendors.db"),
            timeout=10,
            isolation_level=None,
            check_same_thread=False,
        )
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS done (vendor TEXT NOT NULL, action TEXT NOT NULL, tenant_id TEXT NOT NULL,"
            " key TEXT NOT NULL, target TEXT NOT NULL, detail TEXT NOT NULL, amount_cents INTEGER NOT NULL,"
            " calls INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (vendor, tenant_id, key)) WITHOUT ROWID"
        )

    async def mail(self, tenant_id: str, key: str, recipient: str, template: str, reference: str = "") -> Answer:
        return await self._act(Done("mail", "mail", tenant_id, key, recipient, f"{template} {reference}".strip(), 0))

    async def text(self, tenant_id: str, key: str, recipient: str, body: str) -> Answer:
        return await self._act(Done("sms", "text", tenant_id, key, recipient, body, 0))

    async def post(self, tenant_id: str, key: str, channel: str, message: str) -> Answer:
        return await self._act(Done("chat", "post", tenant_id, key, channel, message, 0))

    async def charge(self, tenant_id: str, key: str, customer: str, amount_cents: int, currency: str) -> Answer:
        if customer in self.declining:
            raise CardDeclined(f"payments: the card of {customer} was declined")
        return await self._act(Done("payments", "charge", tenant_id, key, customer, currency, amount_cents))

    async def transfer(
        self, tenant_id: str, key: str, recipient: str, amount_cents: int, currency: str, provider: str, into: str = ""
    ) -> Answer:
        if recipient in self.closed:
            raise NonRetryable(f"payments: the account of {recipient} is closed; nothing was transferred")
        detail = f"{currency} {provider}" if into in ("", currency) else f"{currency} to {into} {provider}"
        return await self._act(Done("payments", "transfer", tenant_id, key, recipient, detail, amount_cents))

    async def transfer_state(self, tenant_id: str, key: str) -> TransferState:
        if self._delay:
            await asyncio.sleep(self._delay)
        return self.transfer_states.get(key, "paid")

    async def bar(self, tenant_id: str, key: str) -> str | None:
        return (await self._act(Done("payments", BAR, tenant_id, key, "", "", 0))).reference or None

    async def credit(self, tenant_id: str, key: str, customer: str, amount_cents: int, currency: str) -> Answer:
        return await self._act(Done("payments", "credit", tenant_id, key, customer, currency, amount_cents))

    async def deliver(self, tenant_id: str, key: str, url: str, body: str) -> Answer:
        return await self._act(Done("webhook", "deliver", tenant_id, key, url, body, 0))

    async def purchase(
        self, tenant_id: str, key: str, platform: str, order_id: str, amount_cents: int, currency: str
    ) -> Answer:
        return await self._act(Done(platform, "purchase", tenant_id, key, order_id, currency, amount_cents))

    def done(self, tenant_id: str, action: str) -> list[Done]:
        """What was really done for a tenant, in the order of the keys: ``mail``, ``text``, ``charge``, ``transfer``, …"""
        with self._lock:
            rows = self._db.execute(
                "SELECT vendor, action, tenant_id, key, target, detail, amount_cents FROM done"
                " WHERE tenant_id = ? AND action = ? ORDER BY key",
                (tenant_id, action),
            ).fetchall()
        return [Done(*row) for row in rows]

    @property
    def charges(self) -> int:
        """How many movements of money really happened, over all tenants: charges, transfers and credits."""
        return self._count("SELECT count(*) FROM done WHERE vendor = 'payments' AND action != 'bar'")

    @property
    def calls(self) -> int:
        """How often money was asked to move, repetitions included."""
        return self._count("SELECT coalesce(sum(calls), 0) FROM done WHERE vendor = 'payments' AND action != 'bar'")

    def close(self) -> None:
        """Close the record."""
        self._db.close()

    def _count(self, query: str) -> int:
        with self._lock:
            return int(self._db.execute(query).fetchone()[0])

    async def _act(self, wish: Done) -> Answer:
        if self._delay:
            await asyncio.sleep(self._delay)
        fails = self._failure_rate > 0 and self._dice.random() < self._failure_rate
        if fails and self._dice.random() < 0.5:
            raise VendorUnavailable(f"{wish.vendor}: no connection; nothing happened")
        answer = self._record(wish)
        if fails:
            raise VendorUnavailable(f"{wish.vendor}: the answer was lost; the work may be done")
        return answer

    def _record(self, wish: Done) -> Answer:
        with self._lock:
            calls, known, target, amount = self._db.execute(
                "INSERT INTO done (vendor, action, tenant_id, key, target, detail, amount_cents)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET calls = calls + 1"
                " RETURNING calls, action, target, amount_cents",
                (
                    wish.vendor,
                    wish.action,
                    wish.tenant_id,
                    wish.key,
                    wish.target,
                    wish.detail,
                    wish.amount_cents,
                ),
            ).fetchone()
        reference = f"{wish.vendor}-{wish.tenant_id}-{wish.key}"
        if wish.action == BAR:
            return Answer("" if known == BAR else reference, repeated=calls > 1)
        if (known, target, amount) != (wish.action, wish.target, wish.amount_cents):
            raise NonRetryable(f"{wish.vendor}: key {wish.key!r} was used for something else; choose another key")
        return Answer(reference, repeated=calls > 1)
