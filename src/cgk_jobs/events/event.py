"""The base class of every event: a frozen, validated model whose first field is the tenant."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from cgk_jobs.errors import InvalidEvent, TenantRequired
from cgk_jobs.tenancy.ids import MAX_LENGTH, PATTERN, parse_tenant_id

__all__ = ["Event", "TenantId", "Upcaster", "describe_problems", "upcasts"]

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]
_F = TypeVar("_F", bound="staticmethod[[Payload], Payload] | Upcaster")

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*").fullmatch


def _tenant(value: object) -> str:
    try:
        return parse_tenant_id(value)
    except TenantRequired as error:
        raise ValueError(str(error)) from None


TenantId = Annotated[
    str,
    BeforeValidator(_tenant),
    Field(
        description="The tenant this event belongs to; never defaulted.",
        json_schema_extra={"pattern": PATTERN, "minLength": 1, "maxLength": MAX_LENGTH},
    ),
]


def upcasts(from_version: int) -> Callable[[_F], _F]:
    """Mark a static method that turns a payload of ``from_version`` into one of ``from_version + 1``.

    It takes and returns the JSON object as a ``dict``. Stored payloads of an older version pass through all of them in
    order before they are validated, so runs sent before a deployment still run after it.
    """

    def mark(function: _F) -> _F:
        vars(getattr(function, "__func__", function))["__upcasts_from__"] = from_version
        return function

    return mark


def _aware_datetimes_only(schema: Any) -> Any:
    # One rule for datetime, list[datetime], datetime | None and nested models alike, without asking authors
    # to remember pydantic's AwareDatetime: the tree of the compiled schema is walked once per class.
    if isinstance(schema, dict):
        node = cast("dict[str, Any]", schema)
        if node.get("type") == "datetime" and "tz_constraint" not in node:
            node["tz_constraint"] = "aware"
        for key, value in node.items():
            if key not in ("metadata", "serialization"):
                _aware_datetimes_only(value)
    elif isinstance(schema, (list, tuple)):
        for item in cast("list[Any]", schema):
            _aware_datetimes_only(item)
    return cast("Any", schema)


class Event(BaseModel):
    """Something that happened in one tenant.

    Subclass it with ``name=`` (dot notation) and, after a change of its fields, ``version=`` (default 1)::

        class OrderPlaced(Event, name="shop.order_placed"):
            order_id: str
            total_cents: int

    Values are checked strictly: ``"5"`` is not an ``int``, a naive ``datetime`` is refused, unknown fields are refused.
    Raises ``InvalidEvent`` (also a ``ValueError``) that lists every problem.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    event_name: ClassVar[str] = ""
    event_version: ClassVar[int] = 1
    upcasters: ClassVar[dict[int, Upcaster]] = {}

    tenant_id: TenantId

    if not TYPE_CHECKING:
        # Hidden from type checkers, which must see the signature made of the fields.
        def __init__(self, **data: Any) -> None:
            try:
                self.__pydantic_validator__.validate_python(data, self_instance=self)
            except ValidationError as error:
                raise InvalidEvent(describe_problems(type(self), error)) from None

        # Without this mark pydantic would call __init__ again for every payload it decodes (3 times slower).
        __init__.__pydantic_base_init__ = True

    def __init_subclass__(cls, *, name: str = "", version: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)

    @classmethod
    def __pydantic_init_subclass__(cls, *, name: str = "", version: int = 1, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if not name:
            # An intermediate base class: shared fields, never sent itself.
            cls.event_name = ""
            return
        if _NAME(name) is None:
            raise InvalidEvent(
                f"{cls.__qualname__}: event name {name!r} must be lower-case words joined by dots, like shop.order_placed"
            )
        if version < 1:
            raise InvalidEvent(f"{cls.__qualname__}: version must be 1 or more, got {version}")
        cls.event_name = name
        cls.event_version = version
        cls.upcasters = _collect_upcasters(cls)
        missing = [
            number for number in range(min(cls.upcasters, default=version), version) if number not in cls.upcasters
        ]
        if missing or any(number >= version for number in cls.upcasters):
            raise InvalidEvent(
                f"{cls.__qualname__}: upcasters must lead without a gap to version {version}; "
                f"found {sorted(cls.upcasters)}"
            )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cast("CoreSchema", _aware_datetimes_only(handler(source)))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The event of its JSON text. Raises ``InvalidEvent``."""
        try:
            return cast("Self", cls.__pydantic_validator__.validate_json(text))
        except ValidationError as error:
            raise InvalidEvent(describe_problems(cls, error)) from None


def _collect_upcasters(cls: type[Event]) -> dict[int, Upcaster]:
    found: dict[int, Upcaster] = {}
    for base in reversed(cls.__mro__):
        for member in vars(base).values():
            if isinstance(member, staticmethod):
                start = getattr(member.__func__, "__upcasts_from__", None)
                if isinstance(start, int):
                    found[start] = member.__func__
    return found


_REMEDIES = {
    "missing": "is missing: pass it",
    "extra_forbidden": "is not a field of this event: remove it, or declare it and raise version=",
    "timezone_aware": "must be an aware datetime: add tzinfo=datetime.UTC",
}


def describe_problems(cls: type[BaseModel], error: ValidationError) -> str:
    """One line that lists each problem of ``error`` with its remedy; values are left out, they may be secret."""
    problems: list[str] = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in item["loc"]) or "payload"
        problems.append(
            f"{where} {_REMEDIES.get(item['type'], '')}".strip()
            if item["type"] in _REMEDIES
            else f"{where}: {item['msg'].removeprefix('Value error, ')}"
        )
    name = getattr(cls, "event_name", "") or cls.__qualname__
    return f"{name}: " + "; ".join(problems)
