"""The service without its HTTP side: what waits, what rings, what was given up."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, NamedTuple

import httpx

from cgk_jobs.clock import Clock
from cgk_jobs.testing.peers.qstash.faults import Faults, Limits
from cgk_jobs.testing.peers.qstash.messages import Message, Rejected, new_id, report_of
from cgk_jobs.testing.peers.qstash.schedule import Schedule
from cgk_jobs.testing.peers.qstash.tokens import sign
from cgk_jobs.wire.json import dumps
from cgk_jobs.wire.pauses import pause_by

__all__ = ["Asked", "Broker", "Rung"]

DEDUPLICATED_FOR = 600.0
"""Seconds."""
LONGEST_WAIT = 86_400.0
_ASKED = pause_by("retry-after", "x-ratelimit-reset", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens")


class Asked(NamedTuple):
    """A request that came, before it was looked at. ``target``: without the query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Rung(NamedTuple):
    """A call that was made: its message, the status it was answered with (0: none)."""

    message_id: str
    url: str
    retried: int
    status: int


class Broker:
    """``patience`` multiplies the service's own waits between tries, which begin at 12 seconds."""

    def __init__(self, clock: Clock, limits: Limits, faults: Faults, patience: float, keys: Callable[[], str]) -> None:
        self.clock, self.limits, self.faults, self.patience, self._key = clock, limits, faults, patience, keys
        self.messages: dict[str, Message] = {}
        self.dead: dict[str, Message] = {}
        self.schedules: dict[str, Schedule] = {}
        self.log: list[dict[str, Any]] = []
        self.asked: list[Asked] = []
        self.rung: list[Rung] = []
        self.billed = 0
        self._heap: list[tuple[float, int, Message]] = []
        self._order = itertools.count()
        self._seen: dict[str, tuple[str, float]] = {}
        self._active: dict[str, int] = defaultdict(int)
        self._waiting: dict[str, deque[Message]] = defaultdict(deque)
        self._calls: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        self._http = httpx.AsyncClient(follow_redirects=False, trust_env=False)

    def now(self) -> float:
        """Unix seconds."""
        return self.clock.micros() / 1e6

    def look(self) -> None:
        """Something is due, or the clock was moved."""
        self._look.set()

    def add(self, message: Message) -> tuple[str, bool]:
        """Take a message: its id, and whether it is a double of one that was taken before (whose id it is then)."""
        if message.deduplication_id is not None:
            known = self._seen.get(message.deduplication_id)
            if known is not None and known[1] > self.now():
                return known[0], True
            self._seen[message.deduplication_id] = (message.id, self.now() + DEDUPLICATED_FOR)
        if self.limits.messages is not None and self.billed >= self.limits.messages:
            raise Rejected("daily quota exceeded", 429)
        self.note(message, "CREATED")
        if self.faults.lost > 0:
            self.faults.lost -= 1
            return message.id, False
        self.messages[message.id] = message
        self._push(message, message.not_before + self.faults.late)
        return message.id, False

    def again(self, message: Message) -> Message:
        """A message that was given up, as a new one."""
        now = self.now()
        fresh = replace(message, id=new_id(), not_before=now, created_at=now, retried=0, answers=[])
        self.messages[fresh.id] = fresh
        self.note(fresh, "CREATED")
        self._push(fresh, now)
        return fresh

    def cancel(self, message: Message) -> None:
        """It will not ring again; a call under way goes on."""
        self.messages.pop(message.id, None)
        self.note(message, "CANCELED")

    def note(self, message: Message, state: str, **more: Any) -> None:
        """Write a line of the log."""
        message.state = state
        self.log.append(
            {
                "time": int(self.now() * 1000),
                "messageId": message.id,
                "state": state,
                "url": message.url,
                "label": ",".join(message.labels),
                "labels": list(message.labels),
                **more,
            }
        )

    async def run(self) -> None:
        """Ring what is due, until cancelled."""
        try:
            while True:
                self._look.clear()
                self._ring_due()
                due = self._next()
                wait = None if due is None or self.clock.manual else max(0.0, due - self.now())
                try:
                    async with asyncio.timeout(wait):
                        await self._look.wait()
                except TimeoutError:
                    continue
        finally:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)
            await self._http.aclose()

    async def settled(self) -> None:
        """Wait until no call is under way and nothing is due."""
        while True:
            self.look()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            due = self._next()
            if not self._calls and (due is None or due > self.now()):
                return
            if self._calls:
                await asyncio.wait(self._calls)

    def _next(self) -> float | None:
        schedules = [schedule.next_at for schedule in self.schedules.values() if not schedule.paused]
        return min([*schedules, *(self._heap[0][:1] if self._heap else ())], default=None)

    def _push(self, message: Message, at: float) -> None:
        heapq.heappush(self._heap, (at, next(self._order), message))
        self.look()

    def _ring_due(self) -> None:
        now = self.now()
        for schedule in self.schedules.values():
            if schedule.next_at <= now and not schedule.paused:
                schedule.next_at = schedule.after(now)
                self.ring_schedule(schedule)
        due: list[Message] = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        if self.faults.shuffled:
            random.shuffle(due)
        for message in due:
            if message.id in self.messages:
                self._begin(message)

    def ring_schedule(self, schedule: Schedule) -> None:
        """A message of a schedule, now."""
        now = self.now()
        message = replace(schedule.message, id=new_id(), not_before=now, created_at=now, schedule_id=schedule.id)
        self.messages[message.id] = message
        self.note(message, "CREATED")
        self._push(message, now)

    def _begin(self, message: Message) -> None:
        key = message.flow_key
        if key is not None and message.parallelism is not None:
            if self._active[key] >= message.parallelism:
                self._waiting[key].append(message)
                return
            self._active[key] += 1
        for copy in range(max(1, self.faults.copies)):
            self._start(self._deliver(message, last=copy == max(1, self.faults.copies) - 1))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        call = asyncio.create_task(work)
        self._calls.add(call)
        call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self.look()

    async def _deliver(self, message: Message, *, last: bool) -> None:
        self.note(message, "ACTIVE")
        self.billed += 1
        status, headers, content = await self._call(message)
        self.rung.append(Rung(message.id, message.url, message.retried, status))
        message.answers.append(status)
        if not last:
            return
        key = message.flow_key
        if key is not None and message.parallelism is not None:
            self._active[key] -= 1
            if self._waiting[key]:
                self._begin(self._waiting[key].popleft())
        if message.id not in self.messages:
            return
        if message.callback is not None:
            self._add_callback(message, message.callback, report_of(message, status, headers, content))
        if 200 <= status < 300:
            del self.messages[message.id]
            self.note(message, "DELIVERED", responseStatus=status)
            return
        final = status == 489 and headers.get("upstash-nonretryable-error", "").lower() == "true"
        if final or message.retried >= message.retries:
            self._give_up(message, status, headers, content)
            return
        message.retried += 1
        self.note(message, "RETRY", responseStatus=status)
        self._push(message, self.now() + self._wait(message.retried, headers))

    def _wait(self, retried: int, headers: dict[str, str]) -> float:
        asked = _ASKED(0, headers, self.now())
        if asked is not None and asked <= LONGEST_WAIT:
            return asked * self.patience
        return min(LONGEST_WAIT, math.exp(2.5 * retried)) * self.patience

    async def _call(self, message: Message) -> tuple[int, dict[str, str], bytes]:
        key = f"sig_{secrets.token_hex(14)}" if self.faults.forged else self._key()
        headers = {
            **message.headers,
            "upstash-signature": sign(key, message.url, message.body, self.now()),
            "upstash-message-id": message.id,
            "upstash-retried": str(message.retried),
            "upstash-caller-ip": "127.0.0.1",
            "user-agent": "Upstash-QStash",
            **({"upstash-schedule-id": message.schedule_id} if message.schedule_id else {}),
        }
        try:
            answer = await self._http.request(
                message.method,
                message.url,
                content=message.body,
                headers=headers,
                timeout=httpx.Timeout(message.timeout, connect=5.0),
            )
        except httpx.HTTPError:
            return 0, {}, b""
        return answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content

    def _give_up(self, message: Message, status: int, headers: dict[str, str], content: bytes) -> None:
        del self.messages[message.id]
        dead = f"{int(self.now() * 1000)}-{secrets.token_hex(4)}"
        self.dead[dead] = message
        self.note(message, "FAILED", responseStatus=status)
        if message.failure_callback is None:
            return
        report = report_of(message, status, headers, content) | {"dlqId": dead}
        self._add_callback(message, message.failure_callback, report)

    def _add_callback(self, message: Message, url: str, report: dict[str, Any]) -> None:
        callback = Message(
            id=new_id(),
            url=url,
            body=dumps(report).encode(),
            headers={"content-type": "application/json"},
            not_before=self.now(),
            created_at=self.now(),
            retries=message.retries,
            labels=message.labels,
        )
        self.messages[callback.id] = callback
        self.note(callback, "CREATED")
        self._push(callback, self.now())
