"""The whole service: its API, and the generated tasks, which call the application as the TypeScript ones do."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.providers.trigger_dev.dispatch import CLOCK_PATH, PATH
from cgk_jobs.providers.trigger_dev.project import CLOCK_TASK
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.trigger_dev.api import make_api
from cgk_jobs.testing.peers.trigger_dev.faults import Faults
from cgk_jobs.testing.peers.trigger_dev.runs import Asked, NativeRun
from cgk_jobs.testing.peers.trigger_dev.store import ENDED, Service
from cgk_jobs.wire.json import dumps
from cgk_jobs.wire.request_signing import RequestSigner

__all__ = ["TriggerDevPeer"]

MOST_ATTEMPTS = 10
AT_ONCE = 100
"""Calls at a time, as of a plan above the smallest."""
LOOK_EVERY = 0.01
"""Seconds between looks at what is due."""


class TriggerDevPeer:
    """``async with TriggerDevPeer() as peer``: listens at ``peer.url`` and runs what is due until the block ends.

    ``tasks``: those deployed; ``None``: every id. ``patience`` multiplies the waits between attempts. ``faults`` may be changed at
    any time.
    """

    def __init__(
        self, *, clock: Clock | None = None, tasks: Collection[str] | None = None, patience: float = 1.0
    ) -> None:
        self.faults = Faults()
        self.asked: list[Asked] = []
        self.secret_key = f"tr_prod_{secrets.token_hex(16)}"
        self.project = f"proj_{secrets.token_hex(10)}"
        self.signing_key = secrets.token_hex(24)
        clock_schedule = {"id": "sched_clock", "task": CLOCK_TASK, "active": True}
        self.environment_facts: dict[str, Any] = {
            "type": "PRODUCTION", "project": self.project, "schedules": [clock_schedule],
        }  # fmt: skip
        self._service = Service(clock or SystemClock(), self.faults, tasks)
        self._patience = patience
        self._server = Loopback(make_api(self._service, self.secret_key, self.asked, self.environment_facts))
        self._room = asyncio.Semaphore(AT_ONCE)
        self._client = httpx.AsyncClient(timeout=60, follow_redirects=False)
        self._public_url = ""
        self._runner: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._under_way: set[str] = set()

    @property
    def url(self) -> str:
        """``TRIGGER_API_URL``."""
        return self._server.url

    def environment(self, public_url: str) -> dict[str, str]:
        """The settings of an application that is reached at ``public_url``, which the tasks call from now on."""
        self._public_url = public_url
        return {
            "TRIGGER_API_URL": self.url,
            "TRIGGER_SECRET_KEY": self.secret_key,
            "TRIGGER_PROJECT_REF": self.project,
            "JOBS_PUBLIC_URL": public_url,
            "JOBS_SIGNING_KEY": self.signing_key,
        }

    @property
    def runs(self) -> Mapping[str, NativeRun]:
        """By id."""
        return self._service.runs

    @property
    def tokens(self) -> Mapping[str, Any]:
        """What each waitpoint token was completed with; ``None``: nothing yet."""
        return self._service.tokens

    def waiting(self) -> list[NativeRun]:
        """Runs that have not ended."""
        return self._service.waiting()

    async def ring_clock(self) -> int:
        """Let the clock's task run once; the status it was answered."""
        return (await self._signed(CLOCK_PATH, dumps({"v": 1}).encode())).status_code

    # -- the tasks ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            now = self._service.clock.micros()
            for run in self._service.waiting():
                if run.due_at <= now and run.id not in self._under_way:
                    self._under_way.add(run.id)
                    for _ in range(self.faults.copies):
                        call = asyncio.create_task(self._attempts(run))
                        self._calls.add(call)
                        call.add_done_callback(self._calls.discard)
            await asyncio.sleep(LOOK_EVERY)

    async def _attempts(self, run: NativeRun) -> None:
        for attempt in range(MOST_ATTEMPTS):
            if run.status in ENDED:
                return
            run.status, run.attempts = "EXECUTING", run.attempts + 1
            wait = await self._attempt(run)
            if wait is None:
                return
            await asyncio.sleep(self._patience * (wait or min(2.0**attempt, 60.0)))
        run.status = "FAILED"

    async def _attempt(self, run: NativeRun) -> float | None:
        """Seconds until the next attempt, 0 where only the policy says; ``None``: there is none."""
        try:
            answer = await self._signed(PATH, dumps(run.payload).encode())
        except httpx.HTTPError:
            return 0
        run.answers.append(answer.status_code)
        if answer.status_code == 202:
            run.status = "WAITING"
            return self._end(run, await self._completed(answer.json()["waitpoint"]))
        if answer.status_code in (409, 429, 503):
            return float(answer.headers.get("retry-after", 30))
        if answer.status_code == 422:
            return self._end(run, {"kind": "refused"})
        return self._end(run, {"kind": "settled"}) if answer.status_code == 200 else 0

    def _end(self, run: NativeRun, said: Mapping[str, Any]) -> float | None:
        match said["kind"]:
            case "busy":
                return float(said["retryAfter"])
            case "failed":
                return 0
            case "refused":
                run.status = "FAILED"
            case _:
                run.status = "COMPLETED"
        return None

    async def _completed(self, token: str) -> Mapping[str, Any]:
        while (said := self._service.tokens[token]) is None:  # noqa: ASYNC110 - a request completes it
            await asyncio.sleep(LOOK_EVERY)
        found: Mapping[str, Any] = said
        return found

    async def _signed(self, path: str, body: bytes) -> httpx.Response:
        url = httpx.URL(self._public_url + path)
        async with self._room:
            now = self._service.clock.micros() // 1_000_000
            headers = RequestSigner([self.signing_key.encode()]).sign("POST", url.path, body, now)
            return await self._client.post(url, content=body, headers={"content-type": "application/json", **headers})

    async def settled(self) -> None:
        """Wait until every run that is due has ended."""
        for _ in itertools.count():
            now = self._service.clock.micros()
            if not self._calls and all(run.due_at > now for run in self.waiting()):
                return
            await asyncio.sleep(LOOK_EVERY)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        self._runner = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._calls, *([] if self._runner is None else [self._runner])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()
        await self._server.__aexit__(kind, error, trace)
