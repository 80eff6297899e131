"""Permits to claim: a worker that is woken by a provider claims as many runs as it was given permits for, and no more.

Each permit is for one run of one queue, and is answered when the run's attempt is settled in the ledger, or when there was
nothing to claim. Which run it is, the ledger's fair order decides.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from typing import NamedTuple

from cgk_jobs.engine.records import Claim, RunKey, Settlement
from cgk_jobs.engine.states import State

__all__ = ["Ended", "Permits"]


class Ended(NamedTuple):
    """How the attempt a permit led to has ended. ``state``: what its run is now; ``None``: another worker took it over."""

    run: RunKey
    task: str
    state: State | None


class Permits:
    """The permits of one worker. Only for the loop the worker runs on."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[Ended | None]]] = {}
        self._bound: dict[int, asyncio.Future[Ended | None]] = {}

    def add(self, queue: str) -> asyncio.Future[Ended | None]:
        """A permit for one run of ``queue``. Answered at the end of its attempt; ``None``: there was none to claim."""
        answer: asyncio.Future[Ended | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(queue, deque()).append(answer)
        return answer

    @property
    def waiting(self) -> int:
        """Permits that have led to no claim yet."""
        return sum(map(len, self._waiting.values()))

    def wanted(self, room: int) -> tuple[str, int] | None:
        """A queue with permits, and for how many runs, at most ``room``; each queue in its turn."""
        for queue in tuple(self._waiting):
            answers = self._waiting.pop(queue)
            if answers:
                self._waiting[queue] = answers
                return queue, min(len(answers), room)
        return None

    def claimed(self, queue: str, asked: int, claims: Sequence[Claim], *, more: bool) -> None:
        """The ledger was asked for ``asked`` runs of ``queue``; ``more``: it may have others, and was not through."""
        answers = self._waiting.get(queue)
        if answers is None:
            return
        for claim in claims:
            if answers:
                self._bound[claim.seq] = answers.popleft()
        if not more:
            for _ in range(min(asked - len(claims), len(answers))):
                _answer(answers.popleft(), None)

    def settled(self, settlements: Sequence[Settlement], stale: Collection[Claim]) -> None:
        """These were written, but for the stale ones."""
        if not self._bound:
            return
        lost = {claim.seq for claim in stale}
        for item in settlements:
            answer = self._bound.pop(item.claim.seq, None)
            if answer is not None:
                state = None if item.claim.seq in lost else item.state
                _answer(answer, Ended(item.claim.key, item.claim.task, state))

    def lost(self, claim: Claim) -> None:
        """The attempt no longer holds its run: nothing will be settled."""
        answer = self._bound.pop(claim.seq, None)
        if answer is not None:
            _answer(answer, Ended(claim.key, claim.task, None))

    def take_back(self, answer: asyncio.Future[Ended | None]) -> int | None:
        """Take a permit back. One that has led to a claim stands: the number of the claimed run."""
        for answers in self._waiting.values():
            if answer in answers:
                answers.remove(answer)
                _answer(answer, None)
        return next((seq for seq, bound in self._bound.items() if bound is answer), None)

    def end(self) -> None:
        """The worker has stopped: nothing is claimed any more, and what was not settled was put back."""
        for answers in self._waiting.values():
            for answer in answers:
                _answer(answer, None)
        for answer in self._bound.values():
            _answer(answer, None)
        self._waiting.clear()
        self._bound.clear()


def _answer(answer: asyncio.Future[Ended | None], ended: Ended | None) -> None:
    if not answer.done():
        answer.set_result(ended)
