"""How a process comes to die at a point: a function of the engine is wrapped in this process, and the wrapper kills it.

The product has no hooks for this and pays nothing for it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import signal
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Literal

from tests.reliability.kill_points.vendor import Vendor

__all__ = ["Fuse", "Moment", "arm"]

Moment = Literal["before", "after", "committing", "committed"]
"""Of a call: before it, after it, or, for what is written in a transaction: all is written and COMMIT not said yet; COMMIT has
returned and nobody has been told."""

_touched: ContextVar[bool] = ContextVar("touched", default=False)
"""The transaction under way has done what the point is about."""


class Fuse:
    """Kills this process at the ``passage``-th passage, counted from 1."""

    def __init__(self, name: str, passage: int, vendor: Vendor) -> None:
        self._name = name
        self._left = passage
        self._vendor = vendor
        self.live = False
        """Passages count: the ledger is prepared."""

    def passed(self) -> None:
        """The point was passed."""
        self._left -= self.live
        if self.live and not self._left:
            self._vendor.ask("died", self._name)
            os.kill(os.getpid(), signal.SIGKILL)


def arm(fuse: Fuse, calls: str, moment: Moment, when: Callable[..., bool] | None) -> None:
    """Wrap ``module:Class.function``. ``when`` is asked with the call's arguments (without ``self``) and its answer first."""
    if moment in ("committing", "committed"):
        _watch_transactions(fuse, moment)
        burn: Callable[[], None] = functools.partial(_touched.set, True)
    else:
        burn = fuse.passed

    def meant(answer: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
        return when is None or when(answer, *arguments, **options)

    def wrapped(original: Callable[..., Any], skip: int) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def awaited(*arguments: Any, **options: Any) -> Any:
                if moment == "before" and meant(None, arguments[skip:], options):
                    burn()
                answer = await original(*arguments, **options)
                if moment != "before" and meant(answer, arguments[skip:], options):
                    burn()
                return answer

            return awaited

        @functools.wraps(original)
        def called(*arguments: Any, **options: Any) -> Any:
            if moment == "before" and meant(None, arguments[skip:], options):
                burn()
            answer = original(*arguments, **options)
            if moment != "before" and meant(answer, arguments[skip:], options):
                burn()
            return answer

        return called

    _replace(calls, wrapped)


def _replace(calls: str, wrapped: Callable[[Callable[..., Any], int], Callable[..., Any]]) -> None:
    module, _, path = calls.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    setattr(owner, name, wrapped(getattr(owner, name), 1 if inspect.isclass(owner) else 0))


def _watch_transactions(fuse: Fuse, moment: Moment) -> None:
    def burn() -> None:
        if _touched.get():
            fuse.passed()

    def sqlite_finish(original: Callable[..., Any], _: int) -> Callable[..., Any]:
        def finish(ledger: Any) -> None:
            original(ledger)
            if moment == "committing":
                burn()

        return finish

    def sqlite_transact(original: Callable[..., Any], _: int) -> Callable[..., Any]:
        def transact(commits: Any, work: Any) -> Any:
            _touched.set(False)
            answer = original(commits, work)
            if moment == "committed":
                burn()
            return answer

        return transact

    def postgres_transaction(original: Callable[..., Any], _: int) -> Callable[..., Any]:
        async def in_transaction(connection: Any, verb: Callable[[Any], Any]) -> Any:
            _touched.set(False)

            async def verb_and_burn(work: Any) -> Any:
                answer = await verb(work)
                if moment == "committing":
                    burn()
                return answer

            answer = await original(connection, verb_and_burn)
            if moment == "committed":
                burn()
            return answer

        return in_transaction

    _replace("cgk_jobs.engine.sqlite.ledger:SqliteLedger.finish", sqlite_finish)
    _replace("cgk_jobs.engine.sqlite.commits:GroupCommit._transact", sqlite_transact)
    _replace("cgk_jobs.engine.postgres.database:_in_transaction", postgres_transaction)
