"""The page behind an approval link."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from cgk_jobs import Context, Event, Jobs, across_tenants
from cgk_jobs.runtime.approving import ApprovalLink

KEY = "k" * 32


class Asked(Event, name="page.asked"):
    note: str


class Decided(Event, name="page.decided"):
    note: str
    approved: bool
    cents: int = 0


class Shop:
    def __init__(self, jobs: Jobs, web: httpx.AsyncClient) -> None:
        self.jobs, self.web = jobs, web
        self.links: list[ApprovalLink] = []
        self.run_id = ""

    async def ask(self, note: str = "p1") -> str:
        """A run that waits for an answer; the path of its link."""

        @self.jobs.task(on=Asked, id="ask")
        async def ask(event: Asked, ctx: Context) -> str:
            self.links.append(ctx.approval_link(Decided, "note", expires=60))
            decided = await ctx.wait_for(Decided, "note", timeout=60)
            return f"{decided.approved} {decided.cents}"

        await self.jobs.start()
        self.run_id = (await self.jobs.send(Asked(tenant_id="acme", note=note))).run_ids[0]
        with across_tenants(reason="the test waits for the run"):
            async for run in self.jobs.runs.watch(self.run_id):
                if run.state == "waiting":
                    break
        return self.links[0].url.removeprefix("https://shop.example")

    async def result(self) -> object:
        with across_tenants(reason="the test waits for the run"):
            return await self.jobs.runs.wait(self.run_id, timeout=20)


@pytest.fixture
async def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Shop, None]:
    monkeypatch.setenv("JOBS_SIGNING_KEY", KEY)
    monkeypatch.setenv("JOBS_PUBLIC_URL", "https://shop.example/jobs")
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")
    jobs.events.add(Decided)
    app = Starlette(routes=[Mount("/jobs", app=jobs.asgi())])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://shop.example") as web:
        yield Shop(jobs, web)
    await jobs.stop()
    jobs.close()


async def test_a_visit_shows_what_is_asked_and_decides_nothing(shop: Shop) -> None:
    path = await shop.ask('<b>"p1"</b>')
    page = await shop.web.get(path)
    assert page.status_code == 200
    assert "&lt;b&gt;&quot;p1&quot;&lt;/b&gt;" in page.text
    assert "<b>" not in page.text
    assert 'name="approved" required' in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    with across_tenants(reason="the test looks at the run"):
        assert (await shop.jobs.runs.get(shop.run_id)).state == "waiting"


async def test_the_form_answers_once(shop: Shop) -> None:
    path = await shop.ask()
    sent = await shop.web.post(path, data={"approved": "true", "cents": "250"})
    assert (sent.status_code, "Thank you" in sent.text) == (200, True)
    assert await shop.result() == "True 250"
    again = await shop.web.post(path, data={"approved": "true", "cents": "250"})
    assert (again.status_code, "given before" in again.text) == (200, True)
    other = await shop.web.post(path, data={"approved": "false"})
    assert other.status_code == 409


@pytest.mark.parametrize("data", [{}, {"approved": ""}, {"approved": "perhaps"}, {"approved": "true", "cents": "many"}])
async def test_an_answer_that_is_not_complete_decides_nothing(shop: Shop, data: dict[str, str]) -> None:
    path = await shop.ask()
    sent = await shop.web.post(path, data=data)
    assert (sent.status_code, "not complete" in sent.text) == (400, True)
    with across_tenants(reason="the test looks at the run"):
        assert (await shop.jobs.runs.get(shop.run_id)).state == "waiting"


async def test_what_the_link_settles_can_t_be_given(shop: Shop) -> None:
    path = await shop.ask()
    await shop.web.post(path, data={"approved": "true", "note": "p2", "tenant_id": "zeta"})
    assert await shop.result() == "True 0"


async def test_links_that_are_none(shop: Shop) -> None:
    path = await shop.ask()
    for wrong in ("/jobs/approve/", "/jobs/approve/x", path[:-2], path + "x", "/jobs/approve/" + "x" * 5_000):
        for answer in (await shop.web.get(wrong), await shop.web.post(wrong, data={"approved": "true"})):
            assert answer.status_code == 404
            assert KEY not in answer.text
    assert (await shop.web.put(path)).status_code == 405
    assert (await shop.web.post(path, content=b"x" * 100_000)).status_code == 413
    assert (await shop.web.post(path, content=b"approved=\xff")).status_code == 400
