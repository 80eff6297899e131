"""Looking event classes up by name. Each ``Jobs`` has a registry of its own."""

from __future__ import annotations

from collections.abc import Iterator

from cgk_jobs.errors import InvalidEvent, UnknownEvent
from cgk_jobs.events.event import Event

__all__ = ["EventRegistry"]


def _shape(cls: type[Event]) -> dict[str, str]:
    return {name: repr(field.annotation) for name, field in cls.model_fields.items()}


class EventRegistry:
    """Event classes by name, one version of each: the newest defined."""

    def __init__(self) -> None:
        self._classes: dict[str, type[Event]] = {}

    def add(self, cls: type[Event]) -> None:
        """Make ``cls`` known.

        A newer version replaces an older one. Raises ``InvalidEvent`` if ``cls`` has no name, or if another class has
        the same name and version with other fields; both places are named.
        """
        name = cls.event_name
        if not name:
            raise InvalidEvent(
                f'{cls.__qualname__} has no event name: declare it as `class {cls.__name__}(Event, name="…")`'
            )
        known = self._classes.get(name)
        if known is cls:
            return
        if known is not None and known.event_version == cls.event_version and _shape(known) != _shape(cls):
            raise InvalidEvent(
                f"event {name!r} version {cls.event_version} is defined twice with different fields: "
                f"{known.__module__}.{known.__qualname__} and {cls.__module__}.{cls.__qualname__}. "
                "Rename one, or raise version="
            )
        if known is None or cls.event_version >= known.event_version:
            self._classes[name] = cls

    def find(self, name: str) -> type[Event] | None:
        """The class of that name, or ``None``."""
        return self._classes.get(name)

    def __getitem__(self, name: str) -> type[Event]:
        cls = self.find(name)
        if cls is None:
            raise UnknownEvent(f"unknown event {name!r}: import the module that defines it")
        return cls

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._classes))

    def __len__(self) -> int:
        return len(self._classes)
