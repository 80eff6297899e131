"""Events: the base class, and the catalogue of an e-commerce platform's events, one module per category.

``cgk_jobs.events.registry["order.created"]`` looks a catalogue class up; ``from cgk_jobs.events.catalogue.commerce
import OrderCreated`` imports one.
"""

from cgk_jobs.events.event import Event, TenantId, upcasts
from cgk_jobs.events.registry import CatalogueRegistry, EventRegistry

registry = CatalogueRegistry()
"""The catalogue by event name. It is filled from the catalogue's modules and nothing else."""

__all__ = ["CatalogueRegistry", "Event", "EventRegistry", "TenantId", "registry", "upcasts"]
