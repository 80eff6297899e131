"""What the journal of a run holds, and what a run asks the ledger for while it is suspended. Frozen values."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ChildCall", "EventWait", "JournalEntry", "child_entry", "group_of"]


class JournalEntry(NamedTuple):
    """One entry of a run's journal. ``place`` counts from 0 in the order they were written.

    ``result`` is JSON: of a finished entry what it answers, of a pending one what is known so far. ``ordered``: every attempt
    must ask for it at the same place among the ordered ones. ``undoable``: it is to be undone if the run fails. ``failed``:
    its result says how. ``pending``: how many outcomes it still waits for; 0: it is finished and is never written again.
    """

    name: str
    result: str | None
    place: int
    ordered: bool = False
    undoable: bool = False
    failed: bool = False
    pending: int = 0


class EventWait(NamedTuple):
    """Which event a run waits for: of its own tenant, of this name, with ``wanted`` in ``fields``.

    ``fields`` are names joined by commas, ``wanted`` the JSON list of their values in the same order. Only events sent after
    ``after_seq`` count.
    """

    event: str
    fields: str
    wanted: str
    after_seq: int


class ChildCall(NamedTuple):
    """One run to be made for its caller: a task and its payload (JSON). ``event`` is empty for a payload that is no event."""

    task: str
    event: str
    version: int
    payload: str


def child_entry(group: str, index: int) -> str:
    """The entry of one child of a group; no step of a user has such a name."""
    return f"{group if '#' in group else group + '#1'}.{index}"


def group_of(entry: str) -> str | None:
    """The group whose child has this entry, or ``None`` for the entry of a child called alone."""
    name, mark, rest = entry.rpartition("#")
    use, dot, _ = rest.partition(".")
    if not mark or not dot:
        return None
    return name if use == "1" else f"{name}#{use}"
