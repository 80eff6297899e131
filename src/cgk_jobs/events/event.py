"""The base class of every event: a frozen, validated model whose first field is the tenant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema

from cgk_jobs.errors import InvalidEvent, TenantRequired
from cgk_jobs.events.secret import masked_repr_args
from cgk_jobs.tenancy.ids import MAX_LENGTH, PATTERN, PLATFORM, parse_tenant_id

__all__ = ["Event", "TenantId", "Upcaster", "describe_problems", "upcasts"]

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]
_F = TypeVar("_F", bound="staticmethod[[Payload], Payload] | Upcaster")

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*").fullmatch


_REMEMBERED = 10_000
_parsed: set[str] = set()


def _tenant(value: object) -> str:
    # Remembered: a worker decodes the same few tenants' events all day, and the pattern costs more than the rest.
    if type(value) is str and value in _parsed:
        return value
    try:
        parsed = parse_tenant_id(value)
    except TenantRequired as error:
        raise ValueError(str(error)) from None
    if len(_parsed) >= _REMEMBERED:
        _parsed.clear()
    _parsed.add(parsed)
    return parsed


TenantId = Annotated[
    str,
    BeforeValidator(_tenant),
    Field(
        description="The tenant this event belongs to; never defaulted.",
        json_schema_extra={
            "pattern": PATTERN,
            "minLength": 1,
            "maxLength": MAX_LENGTH,
            "not": {"const": PLATFORM},
        },
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
        _keep_tenant(cls)
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

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:
        """Builds a checked event all the same: pydantic's way round validation would be a way round the tenant."""
        del _fields_set
        return cls(**values)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, checked where ``update`` changes fields (pydantic alone would not). Raises ``InvalidEvent``."""
        copied = super().model_copy(deep=deep)
        if not update:
            return copied
        fields = {name: getattr(copied, name) for name in copied.model_fields_set} | dict(update)
        return type(self)(**{_parameter(type(self), name): value for name, value in fields.items()})

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # Log lines and tracebacks are made of repr, and of str, which pydantic builds from the same.
        return masked_repr_args(self, super().__repr_args__())

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of what :meth:`from_json` accepts.

        ``x-event-name`` and ``x-event-version`` say what it describes; both are missing where the class has no name,
        as the payload models of tasks may. Strictness, and that a ``date-time`` needs its offset, go beyond the schema.
        """
        described = cls.model_json_schema()
        schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        # The order is for readers: what it is, then its fields, then the definitions they refer to.
        for key in ("title", "description"):
            if key in described:
                schema[key] = described[key]
        if cls.event_name:
            schema |= {"x-event-name": cls.event_name, "x-event-version": cls.event_version}
        for key in ("type", "properties", "required", "additionalProperties"):
            if key in described:
                schema[key] = described[key]
        return schema | described


def _keep_tenant(cls: type[Event]) -> None:
    tenant = cls.model_fields["tenant_id"]
    if not tenant.is_required() or tenant.metadata != Event.model_fields["tenant_id"].metadata:
        raise InvalidEvent(
            f"{cls.__qualname__}: tenant_id is inherited from Event and required; remove it from the class and its mixins"
        )


def _parameter(cls: type[Event], name: str) -> str:
    alias = cls.model_fields[name].validation_alias if name in cls.model_fields else None
    return alias if isinstance(alias, str) else name


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
