"""Events: the base class of what happens in a tenant, and looking classes up by name."""

from cgk_jobs.events.event import Event, TenantId, upcasts
from cgk_jobs.events.registry import EventRegistry

__all__ = ["Event", "EventRegistry", "TenantId", "upcasts"]
