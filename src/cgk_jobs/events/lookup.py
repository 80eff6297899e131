"""Looking event classes up by name: those of one ``Jobs``, and those of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module

from cgk_jobs.errors import InvalidEvent, UnknownEvent
from cgk_jobs.events.catalogue import CATEGORIES, module_of
from cgk_jobs.events.event import Event

__all__ = ["Catalogue", "EventRegistry", "find_event", "registry"]

_CATEGORY_OF = {name: category for category, names in CATEGORIES.items() for name in names}


def _suggestion(name: object, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=3) if isinstance(name, str) else []
    return f" Did you mean {' or '.join(repr(match) for match in close)}?" if close else ""


def _shape(cls: type[Event]) -> dict[str, str]:
    return {name: repr(field.annotation) for name, field in cls.model_fields.items()}


class EventRegistry:
    """Event classes by name, one version of each: the newest defined. Each ``Jobs`` has one of its own."""

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
            category = _CATEGORY_OF.get(name)
            where = "" if category is None else f", which is in {module_of(category)}"
            raise UnknownEvent(
                f"unknown event {name!r}: declare a task for it, or send an instance of its class{where}."
                f"{_suggestion(name, self._classes)}"
            )
        return cls

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._classes))

    def __len__(self) -> int:
        return len(self._classes)


class Catalogue:
    """The catalogue's event classes by name.

    A category's module is imported when one of its events is asked for; asking for names imports nothing. This is apart
    from the ``EventRegistry`` of a ``Jobs``, which holds what that application uses.
    """

    def find(self, name: str) -> type[Event] | None:
        """The class of that name, or ``None``."""
        category = _CATEGORY_OF.get(name)
        return None if category is None else _classes(category)[name]

    def __getitem__(self, name: str) -> type[Event]:
        """The class of that name. Raises ``UnknownEvent`` that names similar events."""
        cls = self.find(name)
        if cls is None:
            raise UnknownEvent(
                f"no event {name!r} in the catalogue.{_suggestion(name, _CATEGORY_OF)} "
                "`cgk jobs events` lists them; an event of your own is a subclass of cgk_jobs.Event"
            )
        return cls

    def __contains__(self, name: object) -> bool:
        return name in _CATEGORY_OF

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(_CATEGORY_OF))

    def __len__(self) -> int:
        return len(_CATEGORY_OF)

    def categories(self) -> Mapping[str, tuple[str, ...]]:
        """The names of each category's events, in the catalogue's order."""
        return CATEGORIES


def _classes(category: str) -> dict[str, type[Event]]:
    module = import_module(module_of(category))
    classes = (value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Event))
    return {cls.event_name: cls for cls in classes if cls.event_name}


def find_event(own: EventRegistry, name: str) -> type[Event]:
    """The class of a name: the application's own, else the catalogue's. Raises ``UnknownEvent`` that names similar ones."""
    found = own.find(name) or registry.find(name)
    if found is None:
        raise UnknownEvent(
            f"no event {name!r} is known here, nor in the catalogue.{_suggestion(name, [*own, *registry])} An event of your own "
            "is known once a task listens to it, or jobs.events.add(ItsClass) has said so"
        )
    return found


registry = Catalogue()
"""The catalogue: ``registry["order.created"]``."""
