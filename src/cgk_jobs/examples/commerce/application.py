"""The application object: the tenants' databases, the vendors and the clock. Every task is a closure over it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta

from cgk_jobs import TaskGroup
from cgk_jobs.clock import Clock, from_micros
from cgk_jobs.examples.commerce.store import Shops
from cgk_jobs.examples.commerce.tasks import CATEGORIES
from cgk_jobs.examples.commerce.vendors import AdPlatform, Chat, Endpoint, Mailer, PaymentGateway, SmsGateway

__all__ = ["Commerce"]


@dataclass(frozen=True)
class Commerce:
    """What the tasks work with. ``examples.commerce.build`` makes one with doubles for the vendors."""

    shops: Shops
    clock: Clock
    mailer: Mailer
    sms: SmsGateway
    chat: Chat
    payments: PaymentGateway
    endpoint: Endpoint
    ads: AdPlatform
    review_request_after: timedelta = timedelta(days=5)
    """From the shipment to the first review mail."""
    review_follow_up_after: timedelta = timedelta(days=7)
    """From the first review mail to the second."""
    seconds_between_texts: float = 1.0
    """The pace of the queue of text messages; 0 where the vendor is a double and nobody waits."""
    owned: ExitStack = field(default_factory=ExitStack)
    """What is closed with it: its own doubles, where it was given none."""

    def groups(self) -> list[TaskGroup]:
        """The tasks of every category, for ``jobs.include``."""
        return [tasks(self) for tasks in CATEGORIES.values()]

    def now(self) -> int:
        """The present moment, microseconds since 1970 UTC, as the databases keep it."""
        return self.clock.micros()

    def today(self) -> date:
        """The present day in UTC."""
        return from_micros(self.clock.micros()).date()

    def close(self) -> None:
        """Close the tenants' databases, and the doubles that nobody else has."""
        self.shops.close()
        self.owned.close()
