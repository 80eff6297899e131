"""Documents to be signed electronically."""

from __future__ import annotations

from datetime import datetime

from cgk_jobs.events.event import Event

__all__ = ["EsignBulkSendStarted", "EsignDocumentChanged"]


class EsignBulkSendStarted(Event, name="esign.bulk_send_started"):
    """A document begins to go out to many signers."""

    bulk_send_id: str


class EsignDocumentChanged(Event, name="esign.document_changed"):
    """Something happened to a document that subscribers want to hear of.

    ``change`` is the application's own word for it, like ``signed``; ``signer_id`` is who did it, if one signer did.
    """

    document_id: str
    change: str
    signer_id: str | None = None
    changed_at: datetime | None = None
