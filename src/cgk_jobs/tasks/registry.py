"""The tasks of one application, by id and by event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cgk_jobs.errors import InvalidTask
from cgk_jobs.tasks.task import Task, handler_place

__all__ = ["TaskRegistry"]


class TaskRegistry:
    """Tasks by id. ``version`` rises with each, so that whoever copied the list sees that it grew."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task[Any]] = {}
        self.version = 0

    def add(self, task: Task[Any]) -> None:
        """Make a task known. Raises ``InvalidTask`` naming both places if its id is taken."""
        known = self._tasks.get(task.id)
        if known is not None:
            raise InvalidTask(
                f"two tasks have the id {task.id!r}: {handler_place(known.handler)} and {handler_place(task.handler)}. "
                "Give one of them another id="
            )
        self._tasks[task.id] = task
        self.version += 1

    def find(self, task_id: str) -> Task[Any] | None:
        """The task of that id, or ``None``."""
        return self._tasks.get(task_id)

    def __getitem__(self, task_id: str) -> Task[Any]:
        task = self._tasks.get(task_id)
        if task is None:
            raise InvalidTask(f"there is no task {task_id!r} here; known: {', '.join(sorted(self._tasks)) or 'none'}")
        return task

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def __iter__(self) -> Iterator[Task[Any]]:
        return iter(tuple(self._tasks.values()))

    def __len__(self) -> int:
        return len(self._tasks)
