"""What ``jobs.asgi()`` serves by itself, mounted or alone."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from cgk_jobs import Event, Jobs


class Seen(Event, name="site.seen"):
    number: int = 0


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")

    @jobs.task(on=Seen)
    async def note(event: Seen) -> None:
        """Nothing."""

    return jobs


def client(app: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop.example")  # type: ignore[arg-type]


@pytest.mark.parametrize("mount", ["", "/jobs", "/deep/down"])
async def test_health_where_it_is_mounted(jobs: Jobs, mount: str) -> None:
    app = jobs.asgi() if not mount else Starlette(routes=[Mount(mount, app=jobs.asgi())])
    async with client(app) as web:
        answer = await web.get(f"{mount}/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "up"})
        assert (await web.post(f"{mount}/health")).status_code == 405
        assert (await web.get(f"{mount}/nowhere")).status_code == 404
    assert jobs.running is not None, "it works when it is called"
    await jobs.stop()
    jobs.close()


async def test_a_ledger_that_is_gone_is_down_and_says_no_more(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("no database, and longer than a hundred bytes" * 5)
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")
    async with client(jobs.asgi()) as web:
        answer = await web.get("/health")
        assert (answer.status_code, answer.json()) == (503, {"status": "down"})
        answer = await web.post("/providers/qstash")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert str(tmp_path) not in answer.text
    jobs.close()


async def test_a_started_process_is_asked(jobs: Jobs) -> None:
    await jobs.start()
    async with client(jobs.asgi()) as web:
        assert (await web.get("/health")).status_code == 200
    await jobs.stop()
    jobs.close()
