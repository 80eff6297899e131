"""The whole service: its APIs, and the calls of functions when their events are due."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.providers.inngest.canonical import canonical
from cgk_jobs.testing.peers.inngest.api import make_api
from cgk_jobs.testing.peers.inngest.service import ENDED, Asked, Faults, NativeFunction, NativeRun, Service
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.wire.json import dumps

__all__ = ["InngestPeer"]

AT_ONCE = 100
"""Calls at a time, as of a plan above the smallest."""
LOOK_EVERY = 0.01
"""Seconds between looks at what is due."""


class InngestPeer:
    """``async with InngestPeer() as peer``: listens at ``peer.url`` and calls what is due until the block ends.

    Signs as the cloud does. ``patience`` multiplies the waits between attempts. ``faults`` may be changed at any time.
    """

    def __init__(self, *, clock: Clock | None = None, patience: float = 1.0) -> None:
        self.faults = Faults()
        self.asked: list[Asked] = []
        self.called: list[bytes] = []
        """The bodies of calls that were made."""
        self.connections: list[str] = []
        """The keys of who asked for a gateway to connect to, which there is none of."""
        self.event_key = secrets.token_hex(20)
        self.signing_key = f"signkey-prod-{secrets.token_hex(32)}"
        self._clock = clock or SystemClock()
        self._service = Service(self._clock, self.faults)
        self._patience = patience
        self._server = Loopback(make_api(self._service, self.event_key, self._bearer, self.asked, self.connections))
        self._room = asyncio.Semaphore(AT_ONCE)
        self._client = httpx.AsyncClient(timeout=60, follow_redirects=False)
        self._runner: asyncio.Task[None] | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._under_way: set[str] = set()

    @property
    def url(self) -> str:
        """``INNGEST_BASE_URL``."""
        return self._server.url

    def environment(self, public_url: str) -> dict[str, str]:
        """The settings of an application that is reached at ``public_url``."""
        return {
            "INNGEST_BASE_URL": self.url,
            "INNGEST_EVENT_KEY": self.event_key,
            "INNGEST_SIGNING_KEY": self.signing_key,
            "JOBS_PUBLIC_URL": public_url,
        }

    @property
    def functions(self) -> Mapping[str, NativeFunction]:
        """Those registered, by id."""
        return self._service.functions

    @property
    def runs(self) -> Mapping[str, NativeRun]:
        """By id."""
        return self._service.runs

    def waiting(self) -> list[NativeRun]:
        """Runs that have not ended."""
        return self._service.waiting()

    def ring(self) -> None:
        """Let every cron ring now."""
        self._service.begin_crons()

    def signature(self, body: bytes, *, age: int = 0, key: str | None = None) -> str:
        """The header of a call made ``age`` seconds ago: of the body's canonical form, whatever form is sent."""
        body = canonical(body) or body
        timestamp = str(self._clock.micros() // 1_000_000 - age)
        bare = (key or self.signing_key).rpartition("-")[2].encode()
        return f"t={timestamp}&s={hmac.new(bare, body + timestamp.encode(), hashlib.sha256).hexdigest()}"

    @property
    def bearer_of_packages(self) -> str:
        """What the vendor's packages call its API with."""
        return self._bearer().rpartition("-")[2]

    def _bearer(self) -> str:
        prefix, _, bare = self.signing_key.rpartition("-")
        return f"{prefix}-{hashlib.sha256(bytes.fromhex(bare)).hexdigest()}"

    # -- the functions -----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            now = self._clock.micros()
            for run in self._service.waiting():
                if run.due_at <= now and run.id not in self._under_way:
                    self._under_way.add(run.id)
                    for _ in range(self.faults.copies):
                        call = asyncio.create_task(self._attempts(run))
                        self._calls.add(call)
                        call.add_done_callback(self._calls.discard)
            await asyncio.sleep(LOOK_EVERY)

    async def _attempts(self, run: NativeRun) -> None:
        most = run.function.retries
        for attempt in range(most):
            if run.status in ENDED:
                return
            run.attempt = attempt
            wait = await self._attempt(run, attempt, most)
            if wait is None:
                return
            await asyncio.sleep(self._patience * (wait or min(2.0**attempt, 60.0)))
        run.status = "Failed"

    async def _attempt(self, run: NativeRun, attempt: int, most: int) -> float | None:
        """Seconds until the next attempt, 0 where only the policy says; ``None``: there is none."""
        event = {"ts": run.due_at // 1_000, **run.event}
        body = dumps(
            {
                "ctx": {
                    "run_id": run.id, "attempt": attempt, "max_attempts": most, "fn_id": run.function.id,
                    "disable_immediate_execution": False, "use_api": False, "stack": {"stack": [], "current": 0},
                },
                "event": event, "events": [event], "steps": {}, "use_api": False, "version": 1,
            }
        ).encode()  # fmt: skip
        self.called.append(body)
        headers = {
            "content-type": "application/json",
            "x-inngest-server-kind": "cloud",
            "x-request-id": run.id,
        }
        try:
            async with self._room:
                headers["x-inngest-signature"] = self.signature(body)
                answer = await self._client.post(run.function.url, content=body, headers=headers)
        except httpx.HTTPError:
            return 0
        run.statuses.append(answer.status_code)
        if answer.status_code == 200:
            run.status, run.output = "Completed", answer.json()
            return None
        if answer.status_code in (400, 500) and answer.headers.get("x-inngest-no-retry") == "true":
            run.status = "Failed"
            return None
        later = answer.headers.get("retry-after")
        return self._until(later) if later else 0

    def _until(self, later: str) -> float:
        if later.isdigit():
            return float(later)
        return max(datetime.fromisoformat(later).timestamp() - self._clock.micros() / 1e6, 0.001)

    async def settled(self) -> None:
        """Wait until every run that is due has ended."""
        while True:
            now = self._clock.micros()
            if not self._calls and all(run.due_at > now for run in self.waiting()):
                return
            await asyncio.sleep(LOOK_EVERY)

    async def sent(self, name: str, data: Mapping[str, Any], id: str = "") -> None:
        """An event of somebody else's application."""
        self._service.take({"name": name, "data": dict(data), **({"id": id} if id else {})})

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
