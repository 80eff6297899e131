from datetime import UTC, datetime
from typing import Any

import pytest

from cgk_jobs.errors import InvalidEvent, PayloadTooLarge, UnknownEvent
from cgk_jobs.events import Event, EventRegistry, upcasts
from cgk_jobs.events.codec import decode, encode, from_mapping


class Placed(Event, name="test.placed", version=2):
    order_id: str
    total_cents: int = 0
    seen: list[datetime] | None = None

    @upcasts(1)
    @staticmethod
    def _cents(payload: dict[str, Any]) -> dict[str, Any]:
        return {**payload, "total_cents": payload["total_cents"] * 100}


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"order_id": "1"}, "tenant_id is missing"),
        ({"tenant_id": " ", "order_id": "1"}, "missing or blank"),
        ({"tenant_id": "A", "order_id": "1"}, "a-z 0-9"),
        ({"tenant_id": "a" * 64, "order_id": "1"}, "63 characters"),
        ({"tenant_id": "platform", "order_id": "1"}, "reserved"),
        ({"tenant_id": "a", "order_id": 1}, "valid string"),
        ({"tenant_id": "a", "order_id": "1", "total_cents": "5"}, "valid integer"),
        ({"tenant_id": "a", "order_id": "1", "colour": "red"}, "not a field"),
        ({"tenant_id": "a", "order_id": "1", "seen": [datetime(2026, 1, 1)]}, "aware datetime"),  # noqa: DTZ001
    ],
)
def test_bad_fields_are_refused_with_the_remedy(fields: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InvalidEvent, match=remedy):
        Placed(**fields)


def test_round_trip_and_older_versions() -> None:
    event = Placed(tenant_id="a", order_id="1", seen=[datetime(2026, 1, 1, tzinfo=UTC)])
    assert decode(Placed, 2, encode(event)) == event
    assert decode(Placed, 1, '{"tenant_id":"a","order_id":"1","total_cents":3}').model_dump()["total_cents"] == 300
    with pytest.raises(UnknownEvent, match="newer"):
        decode(Placed, 3, encode(event))


def test_size_limit_and_mapping() -> None:
    with pytest.raises(PayloadTooLarge, match="send a reference"):
        encode(Placed(tenant_id="a", order_id="x" * 300_000))
    with pytest.raises(InvalidEvent, match="order_id is missing"):
        from_mapping(Placed, {"tenant_id": "a"})


def test_one_name_two_shapes_names_both_places() -> None:
    class Other(Event, name="test.placed", version=2):
        other: str

    registry = EventRegistry()
    registry.add(Placed)
    with pytest.raises(InvalidEvent, match=r"Placed.*Other"):
        registry.add(Other)
    with pytest.raises(UnknownEvent):
        registry["test.unknown"]
