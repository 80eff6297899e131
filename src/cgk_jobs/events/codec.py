"""Events to stored text and back: size limit, versions."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel

from cgk_jobs.errors import InvalidEvent, PayloadTooLarge, UnknownEvent
from cgk_jobs.events.event import Event
from cgk_jobs.wire.json import dumps, loads
from cgk_jobs.wire.text import has_nul

__all__ = ["DEFAULT_MAX_BYTES", "decode", "encode", "encode_payload", "from_mapping"]

DEFAULT_MAX_BYTES = 256 * 1024
"""The largest JSON form of an event, in bytes."""


def encode(event: Event, max_bytes: int = DEFAULT_MAX_BYTES) -> str:
    """The JSON text that is stored. Raises ``PayloadTooLarge`` over ``max_bytes``, ``InvalidEvent``."""
    return encode_payload(event, event.event_name, max_bytes)


def encode_payload(payload: BaseModel, name: str, max_bytes: int) -> str:
    """As :func:`encode`, of any model; ``name`` says in messages whose payload it is."""
    try:
        data = payload.__pydantic_serializer__.to_json(payload)
    except Exception as error:
        raise InvalidEvent(f"{name}: can't be stored as JSON: {error}") from error
    if len(data) > max_bytes:
        raise PayloadTooLarge(
            f"{name}: {len(data):,} bytes of JSON, the limit is {max_bytes:,}. "
            "Store the data and send a reference to it, or raise Jobs(max_payload_bytes=…)"
        )
    text = data.decode()
    if has_nul(text):
        fields = ", ".join(field for field, value in loads(text).items() if has_nul(dumps({field: value})))
        raise InvalidEvent(
            f"{name}: {fields} has a NUL character (\\x00) in a text, which databases can't store: take it out, or send "
            "bytes as base64"
        )
    return text


def from_mapping(cls: type[Event], payload: dict[str, Any]) -> Event:
    """An event from a JSON-like dict (datetimes may be ISO 8601 text). Raises ``InvalidEvent``."""
    try:
        text = dumps(payload)
    except ValueError as error:
        raise InvalidEvent(f"{cls.event_name}: {error}") from None
    return cls.from_json(text)


def decode(cls: type[Event], version: int, text: str) -> Event:
    """The event of a stored payload; older versions pass the class's upcasters first.

    Raises ``UnknownEvent`` for a version this code does not know yet or no longer knows, ``InvalidEvent`` for a payload
    that does not fit.
    """
    if version == cls.event_version:
        return cls.from_json(text)
    if version > cls.event_version:
        raise UnknownEvent(
            f"{cls.event_name}: stored version {version} is newer than this code's {cls.event_version}: deploy the newer code"
        )
    payload = cast("dict[str, Any]", loads(text))
    for step in range(version, cls.event_version):
        upcaster = cls.upcasters.get(step)
        if upcaster is None:
            raise UnknownEvent(
                f"{cls.event_name}: no upcaster from version {step} to {step + 1}: add one marked @upcasts({step})"
            )
        payload = upcaster(payload)
    return from_mapping(cls, payload)
