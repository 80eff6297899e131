"""Generated events of every class of the catalogue survive storage, and their JSON Schema says what is accepted."""

import json
import re
import types
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic.fields import FieldInfo

from cgk_jobs.errors import InvalidEvent
from cgk_jobs.events import Event, registry
from cgk_jobs.events.codec import decode, encode, from_mapping
from cgk_jobs.events.fields import JsonObject

CLASSES = [registry[name] for name in registry]
TEXTS = ["", "a", "order_123", "Größe 日本 🎁", 'it\'s "quoted"\n\\ \x01 \\u0000', "x" * 300]
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.event_name)

# --- making instances -------------------------------------------------------------------------------------------------


def value(annotation: Any, metadata: list[Any], random: Random) -> Any:
    """A random value that a field of this annotation accepts."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = FieldInfo.from_annotation(annotation)
        return value(inner.annotation, [*metadata, *inner.metadata], random)
    if annotation == JsonObject:
        return {
            text: random.choice([None, True, 3, 2.5, text, [text], {text: []}]) for text in TEXTS[: random.randrange(6)]
        }
    if origin in (Union, types.UnionType):
        return value(random.choice(arguments), metadata, random)
    if origin is Literal:
        return random.choice(arguments)
    if origin is list:
        return [value(arguments[0], [], random) for _ in range(random.randrange(4))]
    if annotation is int:
        low, high = bound(metadata, "ge", -(2**53)), bound(metadata, "le", 2**53)
        return random.choice([low, high, random.randint(low, high)])
    if annotation is str:
        return random.choice(["USD", "GBP", "JPY"] if bound(metadata, "pattern", None) else TEXTS)
    moment = datetime(2026, 3, 29, 1, 30, tzinfo=UTC) + timedelta(microseconds=random.randrange(10**14))
    return {
        type(None): None,
        bool: random.random() < 0.5,
        float: random.choice([0.0, 0.1 + 0.2, 1e300]),
        datetime: moment.astimezone(timezone(timedelta(minutes=random.randrange(-720, 840)))),
        date: moment.date(),
    }[annotation]


def bound(metadata: list[Any], name: str, otherwise: Any) -> Any:
    """The constraint of that name among a field's metadata."""
    return next((getattr(item, name) for item in metadata if hasattr(item, name)), otherwise)


def instances(cls: type[Event]) -> list[Event]:
    """The smallest event, the fullest, and some between; the same at every run."""
    random = Random(cls.event_name)
    made: list[Event] = []
    for likely in (0.0, 1.0, 0.5, 0.5, 0.5, 0.5):
        fields = {
            name: value(field.annotation, field.metadata, random)
            for name, field in cls.model_fields.items()
            if name != "tenant_id" and (field.is_required() or random.random() < likely)
        }
        made.append(cls(tenant_id=random.choice(["a", "rawdog", "9-lives_" + "z" * 50]), **fields))
    return made


# --- storage ----------------------------------------------------------------------------------------------------------


@each_class
def test_stored_and_read_again_it_is_the_same(cls: type[Event]) -> None:
    for event in instances(cls):
        text = encode(event)
        assert decode(cls, cls.event_version, text) == event
        assert from_mapping(cls, json.loads(text)) == event
        assert event.model_copy(update={"tenant_id": "other"}).tenant_id == "other"


@each_class
def test_an_unknown_field_is_refused(cls: type[Event]) -> None:
    for event in instances(cls):
        with pytest.raises(InvalidEvent, match="surplus is not a field"):
            from_mapping(cls, {**event.model_dump(mode="json"), "surplus": 1})


def test_money_is_never_a_float_nor_currency_a_free_text() -> None:
    order = {"tenant_id": "a", "order_id": "1", "total_amount_cents": 9_999}
    cls = registry["order.created"]
    assert from_mapping(cls, order).model_dump()["currency"] == "USD"
    for wrong in ({"total_amount_cents": 99.99}, {"total_amount_cents": 99.0}, {"total_amount_cents": "9999"}):
        with pytest.raises(InvalidEvent, match="total_amount_cents"):
            from_mapping(cls, order | wrong)
    for currency in ("usd", "US", "USDT", "US$", "USD\n", ""):
        with pytest.raises(InvalidEvent, match="currency"):
            from_mapping(cls, order | {"currency": currency})


# --- JSON Schema ------------------------------------------------------------------------------------------------------

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": int,
}


def fits(schema: dict[str, Any], data: Any, root: dict[str, Any]) -> bool:
    """Whether ``data`` is valid, by the keywords that the catalogue's schemas use; a keyword not known here fails."""
    for keyword, rule in schema.items():
        match keyword:
            case "$ref":
                ok = fits(root["$defs"][rule.removeprefix("#/$defs/")], data, root)
            case "type":
                ok = isinstance(data, TYPES[rule]) and (isinstance(data, bool) <= (rule == "boolean"))
            case "anyOf":
                ok = any(fits(option, data, root) for option in rule)
            case "not":
                ok = not fits(rule, data, root)
            case "const":
                ok = data == rule
            case "enum":
                ok = data in rule
            case "minimum":
                ok = not isinstance(data, int | float) or data >= rule
            case "maximum":
                ok = not isinstance(data, int | float) or data <= rule
            case "minLength":
                ok = not isinstance(data, str) or len(data) >= rule
            case "maxLength":
                ok = not isinstance(data, str) or len(data) <= rule
            case "pattern":
                ok = not isinstance(data, str) or re.search(rule, data) is not None
            case "items":
                ok = not isinstance(data, list) or all(fits(rule, item, root) for item in data)
            case "required":
                ok = not isinstance(data, dict) or set(rule) <= set(data)
            case "properties":
                ok = not isinstance(data, dict) or all(fits(rule[key], data[key], root) for key in rule if key in data)
            case "additionalProperties":
                others = data if isinstance(data, dict) else {}
                others = {key: others[key] for key in others if key not in schema.get("properties", {})}
                ok = not others if rule is False else rule is True or all(fits(rule, v, root) for v in others.values())
            case "format":
                ok = rule in ("date", "date-time")
            case "$schema" | "$defs" | "title" | "description" | "default" | "x-event-name" | "x-event-version":
                ok = True
            case _:
                raise AssertionError(
                    f"{keyword}: neither a keyword of draft 2020-12 nor one of ours, as far as known here"
                )
        if not ok:
            return False
    return True


@each_class
def test_the_schema_describes_the_event(cls: type[Event]) -> None:
    schema = cls.json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["title"], schema["x-event-name"], schema["x-event-version"]) == (cls.__name__, cls.event_name, 1)
    assert cls.__doc__
    assert schema["description"].split() == cls.__doc__.split()
    assert list(schema["properties"]) == list(cls.model_fields)
    assert schema["required"] == [name for name, field in cls.model_fields.items() if field.is_required()]
    assert schema["required"][0] == next(iter(schema["properties"])) == "tenant_id"
    assert json.loads(json.dumps(schema)) == schema
    for name in cls.model_fields:
        if name.endswith("_cents") or name in {"size", "file_size", "duration"}:
            unit = "minor units" if name.endswith("_cents") else "in seconds" if name == "duration" else "in bytes"
            assert unit in json.dumps(schema["properties"][name]), "a unit is said where the field is read"


@each_class
def test_the_schema_accepts_what_the_class_accepts(cls: type[Event]) -> None:
    schema = cls.json_schema()
    for event in instances(cls):
        data = json.loads(encode(event))
        assert fits(schema, data, schema)
        for name in schema["required"]:
            assert not fits(schema, {key: data[key] for key in data if key != name}, schema)
        for name in schema["properties"]:
            assert not fits(schema, data | {name: [["neither text nor number nor object"]]}, schema)
        assert not fits(schema, data | {"surplus": 1}, schema)
        for tenant in ("", "Upper", "a" * 64, "platform", None):
            assert not fits(schema, data | {"tenant_id": tenant}, schema)


class StockCount(Event):
    quantity: int


class Tree(Event, name="test.tree"):
    branches: "list[Tree]"


def test_the_schema_of_a_payload_model_has_no_event_name() -> None:
    schema = StockCount.json_schema()
    assert (schema["title"], schema["required"]) == ("StockCount", ["tenant_id", "quantity"])
    assert not {"x-event-name", "x-event-version", "description"} & set(schema)


def test_an_event_may_hold_events_of_its_own_class() -> None:
    schema = Tree.json_schema()
    leaf: dict[str, Any] = {"tenant_id": "a", "branches": []}
    assert schema["x-event-name"] == "test.tree"
    assert fits(schema, leaf | {"branches": [leaf]}, schema)
    assert not fits(schema, leaf | {"branches": [{"branches": []}]}, schema)
