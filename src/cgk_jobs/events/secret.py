"""Fields that must not be shown: a marker, and the masked form of an event for logs, dashboard and API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from pydantic import (
    BaseModel,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    TypeAdapter,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

__all__ = ["MASKED", "Secret", "holds_secret", "mask", "masked_repr_args"]

MASKED = "********"
"""What stands in place of a secret."""

_MASKING = object()
"""The serialization context that asks for masks: an object of our own, so that no user's context means it by chance."""


def _show(value: Any, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
    return MASKED if info.context is _MASKING and value is not None else handler(value)


class Secret:
    """Marks a value that is never shown, wherever it stands: ``token: Annotated[str, Secret]``.

    It is masked in ``repr`` and by :func:`mask`, and ``writeOnly`` in the JSON Schema; that it is ``None`` is shown. It is
    stored and handed to the handler as it is, so whoever reads the database reads it: better to send a reference to
    where the secret is kept.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Around the value's own serializer it reaches lists, unions and nested models, which a walk over the fields
        # would have to know one by one.
        schema = handler(source)
        masking = core_schema.wrap_serializer_function_ser_schema(_show, info_arg=True, schema=schema)
        return cast("CoreSchema", {**schema, "serialization": masking})

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "writeOnly": True}


def mask(event: BaseModel) -> dict[str, Any]:
    """``event`` as a JSON-like dict with every secret replaced by ``MASKED``."""
    return event.model_dump(mode="json", context=_MASKING)


def holds_secret(model: type[BaseModel], name: str, value: Any) -> bool:
    """Whether ``value``, in that field of ``model``, has something in it that must not be shown."""
    adapter = TypeAdapter[Any](model.model_fields[name].rebuild_annotation())
    return bool(adapter.dump_python(value, context=_MASKING) != adapter.dump_python(value))


def masked_repr_args(model: BaseModel, arguments: Iterable[tuple[str | None, Any]]) -> Iterable[tuple[str | None, Any]]:
    """The arguments of a ``repr`` with those masked that hold a secret."""
    plain = model.model_dump(warnings=False)
    masked = model.model_dump(warnings=False, context=_MASKING)
    for name, value in arguments:
        holds_secret = name is not None and name in masked and masked[name] != plain[name]
        yield name, masked[name] if name is not None and holds_secret else value
