"""A send without a tenant must not type-check: each ignored error here must be one."""

from cgk_jobs.events import Event


class Placed(Event, name="typing.placed"):
    order_id: str


Placed(tenant_id="acme", order_id="1")
Placed(order_id="1")  # type: ignore[call-arg]
