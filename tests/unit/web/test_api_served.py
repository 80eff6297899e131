"""The API over real sockets, and under mutated requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from tests.full.hostile_api import attack

from cgk_jobs import Context, Event, Jobs


class Followed(Event, name="api.followed"):
    """Reports progress, and waits until it is told to end."""


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[Jobs, str, asyncio.Event]]:
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")
    go = asyncio.Event()

    @jobs.task(on=Followed)
    async def follow(event: Followed, ctx: Context) -> None:
        await ctx.progress(0.5, "half")
        await go.wait()

    await jobs.start()
    server = uvicorn.Server(uvicorn.Config(jobs.asgi(), host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  uvicorn has nothing to wait for
            await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield jobs, f"http://127.0.0.1:{port}", go
    server.should_exit = True
    await serving
    await jobs.stop()
    jobs.close()


async def test_a_run_is_followed_until_it_ends(served: tuple[Jobs, str, asyncio.Event]) -> None:
    jobs, address, go = served
    run_id = (await jobs.send(Followed(tenant_id="mine"))).run_id
    told: list[tuple[str, Any]] = []
    async with (
        httpx.AsyncClient(timeout=20) as web,
        web.stream("GET", f"{address}/api/runs/{run_id}/progress") as answer,
    ):
        kind = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                told.append((kind, json.loads(line.removeprefix("data: "))))
                if told[-1][1]["progress"] is not None:
                    go.set()
    assert told[-1][0] == "end"
    assert told[-1][1]["state"] == "completed"
    assert any(kind == "progress" for kind, _ in told)


async def test_this_machine_alone_without_a_login(served: tuple[Jobs, str, asyncio.Event]) -> None:
    _, address, _ = served
    async with httpx.AsyncClient() as web:
        assert (await web.get(f"{address}/api/runs")).status_code == 200
        for headers in ({"x-forwarded-for": "203.0.113.9"}, {"host": "shop.example"}):
            answer = await web.get(f"{address}/api/runs", headers=headers)
            assert answer.status_code == 403
            assert "JOBS_DASHBOARD_TOKEN" in answer.json()["detail"]
        assert (
            await web.post(f"{address}/api/queues/q/pause", headers={"origin": "https://evil.example"})
        ).status_code == 403


async def test_mutated_requests(tmp_path: Path) -> None:
    finding = await attack(tmp_path, 1_500, seed=3)
    assert not finding.complaints
    assert not finding.stored
    assert finding.statuses[200]
    assert finding.statuses[401]
