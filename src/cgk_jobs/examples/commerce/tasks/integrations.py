"""Connections to other services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import Retry, TaskGroup
from cgk_jobs.examples.commerce.policies import STANDARD, VENDOR
from cgk_jobs.examples.commerce.simulation import simulated

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

SIMULATED = ("integrations", "simulated")


def tasks(app: Commerce) -> TaskGroup:
    """The tasks of this category: none touches the application, since each is a conversation with a vendor."""
    group = TaskGroup()
    for id, cron, retry, purpose in (
        ("stripe-token-refresh", "0 2 * * *", STANDARD, "Renew Stripe credentials before they lapse"),
        ("klaviyo-sync", "0 */6 * * *", VENDOR, "Exchange profiles, events and lists with Klaviyo"),
        (
            "refresh-expiring-integration-tokens",
            "0 */6 * * *",
            Retry(max_attempts=3, initial=60),
            "Renew ad platform tokens about to expire",
        ),
    ):
        simulated(group.cron(cron, tenants="each", id=id, retry=retry, tags=SIMULATED), purpose)
    return group
