"""What generated texts know about a brand: its documents, their vectors, their cache."""

from __future__ import annotations

from typing import Literal

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Count, Hours

__all__ = ["BrandContextCleanup", "BrandContextProcessDocument", "BrandContextRefreshEmbeddings"]


class BrandContextProcessDocument(Event, name="brand_context.process_document"):
    """Take in a document about the brand."""

    document_id: str
    document_type: Literal["pdf", "url", "text"]


class BrandContextRefreshEmbeddings(Event, name="brand_context.refresh_embeddings"):
    """Compute vectors again: of one document or of all, at most ``chunk_limit`` pieces of text."""

    document_id: str | None = None
    chunk_limit: Count | None = None


class BrandContextCleanup(Event, name="brand_context.cleanup"):
    """Drop cached brand context older than ``max_age_hours``."""

    max_age_hours: Hours | None = None
