"""The catalogue holds the events of the inventory (``inventory_events.json``), field by field, and keeps its own rules."""

import json
import subprocess
import sys
import types
from collections.abc import Iterator
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest

from cgk_jobs.errors import InvalidEvent, UnknownEvent
from cgk_jobs.events import Event, EventRegistry, registry
from cgk_jobs.events import catalogue as index
from cgk_jobs.events.catalogue import CATEGORIES, module_of
from cgk_jobs.events.fields import DEFAULT_CURRENCY, JsonObject

INVENTORY = json.loads((Path(__file__).parent / "inventory_events.json").read_text(encoding="utf-8"))
CLASSES = [registry[name] for name in registry]

# Tasks of the inventory that start on something which it gives no event for.
BEYOND_THE_INVENTORY = {
    "conversion.recorded",  # analytics-process-attribution
    "esign.document_changed",  # esign-webhook-send
    "gift_card.reward_earned",  # gift-card-process-order
    "order.paid",  # order-pixel-events
    "order.received",  # commerce-sync-order
    "order.refunded",  # commission-adjustment
    "shop.app_uninstalled",  # connection-cleanup
    "treasury.email_received",  # treasury-process-inbound-email
}

# Names that other systems already send: a rename of one of them breaks its sender.
PROMISED = [
    "order.created",
    "order.fulfilled",
    "customer.created",
    "review.submitted",
    "review.reminder.scheduled",
    "creator.applied",
    "creator.approved",
    "payout.requested",
    "touchpoint.recorded",
    "conversion.attributed",
    "video.upload.completed",
    "video.transcription.started",
    "video.transcription.completed",
    "video.ai.generated",
    "dam.asset.uploaded",
    "dam.gdrive.sync.requested",
    "dam.rights.expiry.check",
    "dam.export.requested",
    "daily.metrics",
    "hourly.sync",
    "weekly.digest",
    "video.sync.recovery",
    "dam.rights.expiry.daily",
]

ANNOTATIONS: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "datetime": datetime,
    "date": date,
    "dict": JsonObject,
    "list[str]": list[str],
    "list[dict]": list[JsonObject],
}


def bare(annotation: Any) -> Any:
    """``annotation`` without what ``Annotated`` adds, at any depth."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return bare(arguments[0])
    if origin in (Union, types.UnionType):
        return Union[tuple(bare(argument) for argument in arguments)]  # noqa: UP007
    if origin is list:
        return types.GenericAlias(list, (bare(arguments[0]),))
    return annotation


def promised(field: dict[str, Any]) -> Any:
    """The annotation that a field of the inventory asks for."""
    if field["type"] == "enum":
        annotation: Any = Literal[tuple(field["values"])]
    elif field.get("values"):
        annotation = types.GenericAlias(list, (Literal[tuple(field["values"])],))
    else:
        annotation = int if field.get("money") else ANNOTATIONS[field["type"]]
    return annotation | None if field.get("optional") or field.get("nullable") else annotation


def parts(annotation: Any) -> Iterator[Any]:
    """Every type that ``annotation`` is made of, except what stands inside free-form JSON."""
    if annotation == JsonObject:
        return
    yield annotation
    for argument in get_args(annotation):
        yield from parts(argument)


def test_every_event_of_the_inventory_is_there_and_none_is_unexplained() -> None:
    assert {event["name"] for event in INVENTORY} | BEYOND_THE_INVENTORY == set(registry)
    assert len(registry) == len(INVENTORY) + len(BEYOND_THE_INVENTORY) == 109


@pytest.mark.parametrize("event", INVENTORY, ids=lambda event: event["name"])
def test_its_fields_are_those_of_the_inventory(event: dict[str, Any]) -> None:
    cls = registry[event["name"]]
    assert event["name"] in CATEGORIES[event["category"]]
    expected = {
        f"{name}_cents" if field.get("money") else name: (promised(field), not field.get("optional"))
        for name, field in event["fields"].items()
    }
    actual = {name: (bare(field.annotation), field.is_required()) for name, field in cls.model_fields.items()}
    assert actual.pop("tenant_id") == (str, True)
    money = any(field.get("money") for field in event["fields"].values())
    if money and event["fields"].get("currency", {"optional": True}).get("optional"):
        # The inventory lets the currency be unstated; the class then has a default instead of None.
        expected["currency"] = (str, False)
        assert cls.model_fields["currency"].default == DEFAULT_CURRENCY
    assert actual == expected


@pytest.mark.parametrize("name", PROMISED)
def test_promised_names_are_kept(name: str) -> None:
    assert registry[name].event_name == name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.event_name)
def test_a_class_keeps_the_rules(cls: type[Event]) -> None:
    assert cls.__name__ == "".join(word.capitalize() for word in cls.event_name.replace("_", ".").split("."))
    assert (cls.__doc__ or "").strip().endswith(".")
    assert next(iter(cls.model_fields)) == "tenant_id"
    money = [name for name in cls.model_fields if name.endswith("_cents")]
    assert not money or bare(cls.model_fields["currency"].annotation) is str
    assert "currency" not in cls.model_fields or money
    for name, field in cls.model_fields.items():
        found = set(parts(bare(field.annotation)))
        if name in money:
            assert found <= {int, int | None, type(None)}
        # A new float here is either a duration, added to this line, or money that belongs in minor units.
        assert float not in found or (cls.event_name, name) == ("video.upload.completed", "duration")


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (cls, name)
        for cls in CLASSES
        for name, field in cls.model_fields.items()
        if datetime in parts(bare(field.annotation))
    ],
    ids=lambda part: part if isinstance(part, str) else part.event_name,
)
def test_datetimes_are_aware(cls: type[Event], name: str) -> None:
    with pytest.raises(InvalidEvent, match=f"{name} must be an aware datetime"):
        cls(**{name: datetime(2026, 1, 1)})  # type: ignore[arg-type]  # noqa: DTZ001
    with pytest.raises(InvalidEvent, match=f"{name} must be an aware datetime"):
        cls.from_json(json.dumps({name: "2026-01-01T00:00:00"}))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.event_name)
@pytest.mark.parametrize("tenant", [{}, {"tenant_id": None}, {"tenant_id": ""}, {"tenant_id": "platform"}], ids=str)
def test_no_event_is_built_without_a_tenant(cls: type[Event], tenant: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent, match="tenant_id"):
        cls(**tenant)
    with pytest.raises(InvalidEvent, match="tenant_id"):
        cls.model_construct(**tenant)
    with pytest.raises(InvalidEvent, match="tenant_id"):
        cls.from_json(json.dumps(tenant))


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_index_agrees_with_the_modules(category: str) -> None:
    module = import_module(module_of(category))
    defined = [
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Event) and cls.__module__ == module.__name__
    ]
    assert sorted(cls.__name__ for cls in defined) == sorted(module.__all__)
    assert [cls.event_name for cls in defined] == list(registry.categories()[category])


def test_every_module_is_in_the_index_and_no_name_twice() -> None:
    files = {path.stem for path in Path(str(index.__file__)).parent.glob("*.py")} - {"__init__"}
    assert files == {category.replace("-", "_") for category in CATEGORIES}
    names = [name for names in CATEGORIES.values() for name in names]
    assert len(names) == len(set(names)) == len({cls.__name__ for cls in CLASSES})


def test_all_of_it_fits_in_one_application() -> None:
    known = EventRegistry()
    for cls in CLASSES:
        known.add(cls)
    assert list(known) == list(registry)


def test_a_module_is_imported_when_one_of_its_events_is_asked_for() -> None:
    program = """
import sys
import cgk_jobs
from cgk_jobs.events import registry

def imported():
    return sorted(name.rpartition(".")[2] for name in sys.modules if name.startswith("cgk_jobs.events.catalogue."))

assert imported() == [], imported()
assert "order.created" in registry and "order.lost" not in registry and len(registry) == len(list(registry))
assert registry.find("order.lost") is None
assert imported() == [], imported()
assert registry["order.created"].__name__ == "OrderCreated"
assert imported() == ["commerce"], imported()
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("order.craeted", "order.created"),
        ("OrderCreated", "order.created"),
        ("payout/approved", "payout.approved"),
        ("creator.setupComplete", "creator.setup_completed"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(wrong: str, meant: str) -> None:
    with pytest.raises(UnknownEvent, match=f"Did you mean .*'{meant}'"):
        registry[wrong]
    assert registry.find(wrong) is None


def test_a_name_like_no_other_suggests_nothing() -> None:
    with pytest.raises(UnknownEvent, match=r"no event 'zzzz' in the catalogue\. `cgk jobs events`"):
        registry["zzzz"]
    assert 7 not in registry


def test_an_application_says_where_an_event_it_does_not_know_is() -> None:
    known = EventRegistry()
    with pytest.raises(UnknownEvent, match=r"declare a task for it.* cgk_jobs\.events\.catalogue\.commerce"):
        known["order.created"]
    known.add(registry["order.created"])
    with pytest.raises(UnknownEvent, match=r"its class\. Did you mean 'order\.created'\?"):
        known["order.craeted"]
