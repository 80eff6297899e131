"""The catalogue: one module per category, one class per event. This file is its index.

A module is imported by whoever wants its events, or by ``cgk_jobs.events.registry`` once one of them is asked for;
importing the package imports none of them. A new event is a class in a module and a name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CATEGORIES", "module_of"]

CATEGORIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "commerce": (
            "order.received",
            "order.created",
            "order.paid",
            "order.fulfilled",
            "order.cancelled",
            "order.refunded",
            "gift_card.reward_earned",
            "customer.created",
            "customer.updated",
            "product.sync",
            "inventory.sync",
        ),
        "reviews": (
            "review.submitted",
            "review.moderated",
            "review.email.queued",
            "review.email.sent",
            "review.reminder.scheduled",
        ),
        "surveys": (
            "survey.response_submitted",
            "survey.digest",
            "survey.low_nps",
        ),
        "creators": (
            "creator.applied",
            "creator.approved",
            "creator.rejected",
            "creator.setup_completed",
            "creator.email.queued",
            "creator.bulk_send_started",
            "creator.reminder",
            "creator.approval_reminders",
            "creator.welcome_call_reminders",
            "creator.file.uploaded",
            "creator.slack_notification",
            "creator.shipment_sync",
            "project.created",
            "project.status_changed",
            "project.deadline_approaching",
        ),
        "payouts": (
            "commission.matured",
            "payment.available",
            "payout.requested",
            "payout.approved",
            "payout.initiated",
            "payout.processing",
            "payout.completed",
            "payout.failed",
            "expense.sync",
        ),
        "treasury": (
            "treasury.topup_succeeded",
            "treasury.approval",
            "treasury.email_received",
            "treasury.low_balance",
        ),
        "attribution": (
            "touchpoint.recorded",
            "conversion.recorded",
            "conversion.attributed",
            "attribution.recalculate",
            "attribution.sync",
            "attribution.export",
        ),
        "ab-testing": (
            "ab.test_created",
            "ab.test_started",
            "ab.test_ended",
            "ab.metrics_aggregate",
            "ab.optimize",
            "ab.order_reconcile",
        ),
        "video": (
            "video.upload.completed",
            "video.transcription.started",
            "video.transcription.completed",
            "video.ai.generated",
        ),
        "dam": (
            "dam.asset.uploaded",
            "dam.gdrive.sync.requested",
            "dam.rights.expiry.check",
            "dam.export.requested",
            "dam.face_detection",
            "dam.bulk_ingest",
        ),
        "subscriptions": (
            "subscription.created",
            "subscription.billing",
            "subscription.renewal",
            "subscription.cancelled",
        ),
        "notifications": (
            "email.send",
            "sms.send",
            "slack.notify",
            "push.notification",
        ),
        "system": (
            "system.health_check",
            "system.alert",
            "system.cleanup",
            "system.sync_recovery",
            "shop.app_uninstalled",
        ),
        "workflows": (
            "workflow.triggered",
            "workflow.action",
            "workflow.scheduled_action",
            "workflow.time_elapsed",
            "workflow.cleanup",
        ),
        "brand-context": (
            "brand_context.process_document",
            "brand_context.refresh_embeddings",
            "brand_context.cleanup",
        ),
        "google-feed": (
            "google_feed.sync",
            "google_feed.product_update",
            "google_feed.image_optimize",
        ),
        "webhooks": (
            "webhook.retry",
            "webhook.health_check",
            "webhook.cleanup",
        ),
        "recovery": (
            "recovery.check_abandoned",
            "recovery.checkout_updated",
            "recovery.email_scheduled",
            "recovery.email_sent",
            "recovery.process_queue",
            "recovery.expire_old",
        ),
        "scheduled": (
            "daily.metrics",
            "hourly.sync",
            "weekly.digest",
            "video.sync.recovery",
            "dam.rights.expiry.daily",
        ),
        "esign": (
            "esign.bulk_send_started",
            "esign.document_changed",
        ),
    }
)
"""The names of the events of each category."""


def module_of(category: str) -> str:
    """The module that defines the events of a category."""
    return f"{__name__}.{category.replace('-', '_')}"
