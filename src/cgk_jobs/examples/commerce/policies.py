"""Retries and rates that several tasks share. A task that has its own states it where it is declared."""

from __future__ import annotations

from cgk_jobs import Rate, Retry

__all__ = [
    "AFTER_10_SECONDS",
    "AFTER_30_SECONDS",
    "AFTER_5_SECONDS",
    "AFTER_A_MINUTE",
    "BATCH",
    "BILLING",
    "DEFAULT",
    "EVERY_3_SECONDS",
    "FROM_5_SECONDS",
    "HEAVY",
    "MONEY",
    "ONCE",
    "REVIEW_MAIL_RATES",
    "SHOP",
    "SHORT",
    "STANDARD",
    "SWIFT",
    "TEXT_RATES_PER_RECIPIENT",
    "TWICE",
    "URGENT",
    "VENDOR",
    "VENDOR_BATCH",
    "VENDOR_TWICE",
]

DEFAULT = Retry(max_attempts=3, initial=1, maximum=10)
"""Where a task states nothing of its own."""
ONCE = Retry(max_attempts=1)
"""No retry: the next tick is the retry."""
TWICE = Retry(max_attempts=2, initial=1, maximum=10)

SWIFT = Retry(max_attempts=3, initial=1, maximum=30)
"""Mails and alerts to people who wait."""
SHORT = Retry(max_attempts=3, initial=2, maximum=30)
"""Work of our own that fails for a moment at most."""
STANDARD = Retry(max_attempts=3, initial=5, maximum=60)
"""One call of a vendor."""
FROM_5_SECONDS = Retry(max_attempts=3, initial=5)
"""As ``STANDARD``, without a cap."""
VENDOR = Retry(max_attempts=3, initial=30, maximum=120)
"""A vendor that asks for long pauses."""
VENDOR_BATCH = Retry(max_attempts=3, initial=10, maximum=120)
VENDOR_TWICE = Retry(max_attempts=2, initial=30, maximum=120)
HEAVY = Retry(max_attempts=2, initial=10, maximum=120)
"""Work so long that a third attempt is a person's decision."""
BATCH = Retry(max_attempts=3, initial=5, maximum=120)
SHOP = Retry(max_attempts=5, initial=2, maximum=60)
"""Orders, products and customers of the shop: too important to give up after three attempts."""
BILLING = Retry(max_attempts=5, initial=5, maximum=120)
MONEY = Retry(max_attempts=3, initial=30, maximum=180)
"""Payments, which settle slowly at the vendor."""
URGENT = Retry(max_attempts=5, initial=0.5, maximum=10, factor=1.5)
"""Pages that must reach a person."""

EVERY_3_SECONDS = Retry(max_attempts=3, backoff="fixed", initial=3, maximum=3, factor=1)
AFTER_5_SECONDS = Retry(max_attempts=2, backoff="fixed", initial=5, maximum=5, factor=1)
AFTER_10_SECONDS = Retry(max_attempts=2, backoff="fixed", initial=10)
AFTER_30_SECONDS = Retry(max_attempts=2, backoff="fixed", initial=30)
AFTER_A_MINUTE = Retry(max_attempts=2, backoff="fixed", initial=60)

REVIEW_MAIL_RATES = (Rate(10, seconds=1, per="tenant"), Rate(1, seconds=0.55, shared="mail-vendor"))
"""Ten a second in each tenant, and the mail vendor's own pace over all of them."""
TEXT_RATES_PER_RECIPIENT = (Rate(5, seconds=3600, per="recipient"), Rate(20, seconds=86_400, per="recipient"))
"""Nobody is texted more than five times an hour and twenty times a day."""
