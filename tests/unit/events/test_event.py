import types
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

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


def test_a_payload_of_the_first_version_passes_all_upcasters_in_order() -> None:
    class Shipped(Event, name="test.shipped", version=3):
        order_id: str
        parcels: list[str]

        @upcasts(1)
        @staticmethod
        def _rename(payload: dict[str, Any]) -> dict[str, Any]:
            return {"tenant_id": payload["tenant_id"], "order_id": payload["order"], "parcel": payload["parcel"]}

        @upcasts(2)
        @staticmethod
        def _several(payload: dict[str, Any]) -> dict[str, Any]:
            return {"tenant_id": payload["tenant_id"], "order_id": payload["order_id"], "parcels": [payload["parcel"]]}

    now = Shipped(tenant_id="a", order_id="1", parcels=["p"])
    assert decode(Shipped, 1, '{"tenant_id":"a","order":"1","parcel":"p"}') == now
    assert decode(Shipped, 2, '{"tenant_id":"a","order_id":"1","parcel":"p"}') == now
    assert decode(Shipped, 3, encode(now)) == now
    with pytest.raises(UnknownEvent, match="no upcaster from version 0"):
        decode(Shipped, 0, "{}")
    with pytest.raises(InvalidEvent, match="tenant_id"):
        decode(Shipped, 2, '{"tenant_id":"","order_id":"1","parcel":"p"}')


def test_a_gap_between_upcasters_is_refused_where_it_is_declared() -> None:
    with pytest.raises(InvalidEvent, match=r"without a gap to version 3; found \[1\]"):

        class Gap(Event, name="test.gap", version=3):
            @upcasts(1)
            @staticmethod
            def _first(payload: dict[str, Any]) -> dict[str, Any]:
                return payload


class _Mixin(BaseModel):
    tenant_id: str = "shared"


@pytest.mark.parametrize(
    ("bases", "namespace"),
    [
        ((Event,), {"__annotations__": {"tenant_id": str}, "tenant_id": "shared"}),
        ((Event,), {"__annotations__": {"tenant_id": str | None}}),
        ((Event,), {"__annotations__": {"tenant_id": str}}),
        ((_Mixin, Event), {}),
    ],
)
@pytest.mark.parametrize("name", ["", "test.shared"])
def test_a_class_can_not_loosen_its_tenant(bases: tuple[type, ...], namespace: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidEvent, match="Loose: tenant_id is inherited"):
        types.new_class("Loose", bases, {"name": name}, lambda body: body.update({"__module__": __name__, **namespace}))


def test_a_copy_is_checked_like_a_new_event() -> None:
    event = Placed(tenant_id="a", order_id="1", seen=[])
    assert event.model_copy(update={"tenant_id": "b"}) == Placed(tenant_id="b", order_id="1", seen=[])
    assert event.model_copy(update={"order_id": "2"}).model_fields_set == {"tenant_id", "order_id", "seen"}
    assert event.model_copy() == event
    assert event.model_copy(deep=True).seen is not event.seen
    for wrong in ({"tenant_id": None}, {"tenant_id": ""}, {"order_id": 2}, {"colour": "red"}):
        with pytest.raises(InvalidEvent):
            event.model_copy(update=wrong)
    with pytest.raises(ValidationError, match="frozen"):
        event.tenant_id = "b"


def test_a_copy_knows_its_aliases() -> None:
    class Called(Event, name="test.called"):
        sender: str = Field(alias="from")

    event = Called.from_json('{"tenant_id":"a","from":"x"}')
    assert event.model_copy(update={"tenant_id": "b"}) == Called.from_json('{"tenant_id":"b","from":"x"}')
    assert event.model_copy(update={"sender": "y"}).sender == "y"
