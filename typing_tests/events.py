"""A send without a tenant must not type-check: each ignored error here must be one.

Both checkers refuse an ignore that ignores nothing, so a tenant that became optional would show here.
"""

from typing import Annotated, assert_type

from cgk_jobs.events import Event, Secret, mask, registry
from cgk_jobs.events.catalogue.commerce import OrderCreated
from cgk_jobs.events.catalogue.reviews import ReviewModerated
from cgk_jobs.events.catalogue.scheduled import HourlySync


class Placed(Event, name="typing.placed"):
    order_id: str
    token: Annotated[str | None, Secret] = None


placed = Placed(tenant_id="acme", order_id="1")
Placed(order_id="1")  # type: ignore[call-arg]
Placed(tenant_id=None, order_id="1")  # type: ignore[arg-type]
Placed("acme", order_id="1")  # type: ignore[call-arg]
Placed(tenant_id="acme", order_id="1", colour="red")  # type: ignore[call-arg]

# The catalogue: an event with fields of its own, one whose only field is the tenant.
order = OrderCreated(tenant_id="acme", order_id="1", total_amount_cents=9_999, currency="GBP")
OrderCreated(order_id="1", total_amount_cents=9_999)  # type: ignore[call-arg]
OrderCreated(tenant_id="acme", order_id="1", total_amount_cents=99.99)  # type: ignore[arg-type]
HourlySync(tenant_id="acme")
HourlySync()  # type: ignore[call-arg]
ReviewModerated(
    tenant_id="acme",
    review_id="1",
    action="banish",  # type: ignore[arg-type]
    reviewer_email="a@example.org",
    reviewer_name=None,
    product_title=None,
)

assert_type(order.total_amount_cents, int)
assert_type(order.customer_id, str | None)
assert_type(placed.token, str | None)
assert_type(registry["order.created"], type[Event])
assert_type(registry.find("order.created"), type[Event] | None)
assert_type(OrderCreated.from_json("{}"), OrderCreated)
assert_type(order.model_copy(update={"order_id": "2"}), OrderCreated)
mask(order)
