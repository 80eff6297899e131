"""Which values an event must have: the one a run waits for, or the one a link sends. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from cgk_jobs.errors import InvalidEvent
from cgk_jobs.events.event import Event
from cgk_jobs.wire.json import dumps, loads

__all__ = ["LONGEST", "Match", "fields_of", "values_of", "wanted_in"]

Match = str | Mapping[str, Any] | None

LONGEST = 1_000
"""Characters of JSON the values of a match may have."""


def fields_of(cls: type[Event], match: Match, own: object) -> tuple[str, str]:
    """The names of the fields, and the JSON list of the values they must have; no match: any event of the class.

    A single name means the value the run's ``own`` event has in its field of that name. Raises ``InvalidEvent`` for a field
    that one of them lacks, and for a value the field can never have.
    """
    values = values_of(cls, match, own, f"wait_for({cls.event_name})")
    return ",".join(values), dumps(list(values.values()))


def values_of(cls: type[Event], match: Match, own: object, what: str) -> dict[str, Any]:
    """The same as values by name, the names in order. ``what`` is done with them, for the messages."""
    if match is None:
        return {}
    values = {match: _own_value(own, match, what)} if isinstance(match, str) else dict(match)
    if not values:
        raise InvalidEvent(f"{what}, match={{}}: name a field, or leave match= out for any such event")
    checked = {name: _checked(cls, name, values[name], what) for name in sorted(values)}
    if len(dumps(list(checked.values()))) > LONGEST:
        raise InvalidEvent(f"{what}: match by something shorter, at most {LONGEST:,} characters of JSON")
    return checked


def _own_value(own: object, name: str, what: str) -> Any:
    if not isinstance(own, BaseModel) or name not in type(own).model_fields:
        raise InvalidEvent(
            f"{what}, match={name!r}: {type(own).__name__}, which this run was made of, has no field "
            f"{name!r}; give the value: match={{{name!r}: …}}"
        )
    return getattr(own, name)


def _checked(cls: type[Event], name: str, value: Any, what: str) -> Any:
    field = cls.model_fields.get(name)
    if field is None or name == "tenant_id":
        others = ", ".join(sorted(set(cls.model_fields) - {"tenant_id"}))
        reason = "is the run's own in any case" if name == "tenant_id" else "is none of its fields"
        raise InvalidEvent(f"{what}: {name!r} {reason}; match one of: {others or 'none'}")
    try:
        return TypeAdapter[Any](field.annotation or Any).validate_python(value, strict=True)
    except ValidationError as error:
        raise InvalidEvent(f"{what}: its field {name!r} never has this value: {error.errors()[0]['msg']}") from None


def wanted_in(payload: str, fields: str) -> str | None:
    """The JSON list of the values a payload has in ``fields``, or ``None`` where it lacks one or they are too long."""
    if not fields:
        return "[]"
    values = loads(payload)
    try:
        found = dumps([values[name] for name in fields.split(",")])
    except (KeyError, TypeError):
        return None
    return found if len(found) <= LONGEST else None
