"""``assert_sent`` and ``refute_sent``: what was sent, and failures that list what was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel

from cgk_jobs.events import Event
from cgk_jobs.tasks.task import Task
from cgk_jobs.testing.recording import SentEvent

__all__ = ["assert_sent", "describe", "matching", "refute_sent"]

What = type[Event] | Task[Any] | str
"""An event's class, a task that was sent to alone, or either's name."""
ClassOf = Callable[[SentEvent], type[BaseModel] | None]

_MISSING = object()


def matching(sent: Sequence[SentEvent], what: What, fields: dict[str, Any], class_of: ClassOf) -> list[SentEvent]:
    """Those sent that are ``what`` and have these field values."""
    return [one for one in sent if _is(one, what) and _has(one, fields, class_of)]


def assert_sent(
    sent: Sequence[SentEvent], what: What, count: int | None, fields: dict[str, Any], class_of: ClassOf
) -> SentEvent:
    """The first that matches. Raises ``AssertionError``: none does, or not ``count``."""
    found = matching(sent, what, fields, class_of)
    if not found or (count is not None and len(found) != count):
        wish = "at least 1" if count is None else str(count)
        raise AssertionError(
            f"expected {wish} sent of {_wanted(what, fields)}, found {len(found)}. {describe(sent, class_of)}"
        )
    return found[0]


def refute_sent(sent: Sequence[SentEvent], what: What, fields: dict[str, Any], class_of: ClassOf) -> None:
    """Raises ``AssertionError`` if any matches."""
    found = matching(sent, what, fields, class_of)
    if found:
        raise AssertionError(
            f"expected none sent of {_wanted(what, fields)}, found {len(found)}. {describe(sent, class_of)}"
        )


def describe(sent: Sequence[SentEvent], class_of: ClassOf) -> str:
    """What was sent, for a message; secrets are masked."""
    if not sent:
        return "Nothing was sent"
    return "Sent were:" + "".join(f"\n  {_show(one, class_of)}" for one in sent)


def _name(what: What) -> str:
    if isinstance(what, str):
        return what
    return what.id if isinstance(what, Task) else what.event_name


def _wanted(what: What, fields: dict[str, Any]) -> str:
    return f"{_name(what)}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


def _is(one: SentEvent, what: What) -> bool:
    if isinstance(what, Task):
        return one.task == what.id
    name = _name(what)
    return one.name == name or (isinstance(what, str) and one.task == name)


def _value(one: SentEvent, name: str, class_of: ClassOf) -> object:
    if name == "tenant_id":
        return one.tenant_id
    cls = class_of(one)
    if cls is None:
        return one.payload.get(name, _MISSING)
    return getattr(cls.model_validate_json(one.text), name, _MISSING)


def _has(one: SentEvent, fields: dict[str, Any], class_of: ClassOf) -> bool:
    return all(_value(one, name, class_of) == value for name, value in fields.items())


def _show(one: SentEvent, class_of: ClassOf) -> str:
    cls = class_of(one)
    shown = repr(cls.model_validate_json(one.text)) if cls is not None else f"{one.name}{one.payload!r}"
    extras = [f"to task {one.task}"] if one.task else []
    extras += [f"due {one.due_at.isoformat()}"] if one.due_at else []
    extras += [f"key {one.key!r}"] if one.key else []
    extras += [f"tags {', '.join(one.tags)}"] if one.tags else []
    extras += ["for " + one.tenant_id] if cls is None or "tenant_id" not in cls.model_fields else []
    return shown + (f" [{'; '.join(extras)}]" if extras else "")
