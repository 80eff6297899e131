"""Events: the base class of what happens in a tenant, and looking classes up by name.

The catalogue of ready-made events is opt-in by module: ``from cgk_jobs.events.catalogue.commerce import OrderCreated``,
or by name: ``registry["order.created"]``.
"""

from cgk_jobs.events.event import Event, TenantId, upcasts
from cgk_jobs.events.lookup import Catalogue, EventRegistry, registry
from cgk_jobs.events.secret import Secret, mask

__all__ = ["Catalogue", "Event", "EventRegistry", "Secret", "TenantId", "mask", "registry", "upcasts"]
