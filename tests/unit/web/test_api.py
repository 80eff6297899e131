"""The JSON API: what each route answers, to whom, and what it refuses."""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest

from cgk_jobs import Context, Event, Jobs, NonRetryable, Tick
from cgk_jobs.api.application import ROUTES
from cgk_jobs.events import Secret
from cgk_jobs.tenancy import tenant_context

KEY = "k" * 32
OPERATOR = "operator-token-of-24-chars-and-more"


class Ordered(Event, name="api.ordered"):
    order_id: str
    card: Annotated[str, Secret] = "4111"


@dataclass
class Shop:
    """An application with a finished run of tenant ``mine`` and a failed one of tenant ``theirs``."""

    jobs: Jobs
    web: httpx.AsyncClient
    mine: str
    theirs: str

    def bearer(self, **grant: Any) -> dict[str, str]:
        token: str = self.jobs.tokens.issue(**grant)
        return {"authorization": f"Bearer {token}"}

    @property
    def operator(self) -> dict[str, str]:
        return {"authorization": f"Bearer {OPERATOR}"}


@pytest.fixture
async def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    monkeypatch.setenv("JOBS_DASHBOARD_TOKEN", OPERATOR)
    monkeypatch.setenv("JOBS_SIGNING_KEY", KEY)
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")

    @jobs.task(id="note", on=Ordered)
    async def note(event: Ordered, ctx: Context) -> str:
        ctx.log.info("noted")
        if event.order_id == "bad":
            raise NonRetryable("<script>alert(1)</script>\x07")
        saved: str = await ctx.step("save", lambda: event.order_id)
        return saved

    @jobs.cron("0 * * * *", id="hourly", tenants="seen")
    async def hourly(tick: Tick) -> None:
        """Nothing."""

    await jobs.start()
    mine = (await jobs.send(Ordered(tenant_id="mine", order_id="good"))).run_id
    theirs = (await jobs.send(Ordered(tenant_id="theirs", order_id="bad"))).run_id
    with tenant_context("mine"):
        await jobs.runs.wait(mine)
    with tenant_context("theirs"):
        async for _ in jobs.runs.watch(theirs):
            pass
    transport = httpx.ASGITransport(app=jobs.asgi())
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as web:
        yield Shop(jobs, web, mine, theirs)
    await jobs.stop()
    jobs.close()


async def test_runs_are_listed_counted_and_looked_at(shop: Shop) -> None:
    both = (await shop.web.get("/api/runs", headers=shop.operator)).json()
    assert [run["tenant_id"] for run in both["runs"]] == ["theirs", "mine"]
    first = (await shop.web.get("/api/runs?limit=1", headers=shop.operator)).json()
    second = (await shop.web.get(f"/api/runs?limit=1&cursor={first['next_cursor']}", headers=shop.operator)).json()
    assert [run["id"] for run in first["runs"] + second["runs"]] == [shop.theirs, shop.mine]
    counted = (await shop.web.get("/api/runs/count?task=note", headers=shop.operator)).json()
    assert (counted["states"]["completed"], counted["states"]["failed"]) == (1, 1)
    run = (await shop.web.get(f"/api/runs/{shop.mine}", headers=shop.operator)).json()
    assert run["payload"] == {"tenant_id": "mine", "order_id": "good", "card": "********"}
    assert run["result"] == "good"
    assert [step["name"] for step in run["steps"]] == ["save"]
    for part in ("steps", "attempts", "log"):
        assert part in (await shop.web.get(f"/api/runs/{shop.mine}/{part}", headers=shop.operator)).json()


async def test_payloads_are_an_action_of_their_own(shop: Shop) -> None:
    run = (await shop.web.get(f"/api/runs/{shop.mine}", headers=shop.bearer(tenants=["mine"]))).json()
    assert "payload" not in run
    assert "result" not in run
    assert run["steps"][0]["result"] is None


async def test_events_are_sent_once_for_each_key(shop: Shop) -> None:
    headers = shop.bearer(tenants=["mine"], actions=["send"]) | {"idempotency-key": "abc"}
    body = {"event": "api.ordered", "payload": {"order_id": "new"}}
    first = await shop.web.post("/api/events", json=body, headers=headers)
    second = await shop.web.post("/api/events", json=body, headers=headers)
    assert (first.status_code, first.json()["status"], second.json()["status"]) == (202, "accepted", "duplicate")
    assert first.json()["run_ids"] == second.json()["run_ids"]
    other = await shop.web.post("/api/events", json=body | {"payload": {"order_id": "else"}}, headers=headers)
    assert (other.status_code, other.headers["content-type"]) == (409, "application/problem+json")
    stranger = body | {"payload": {"tenant_id": "theirs", "order_id": "x"}}
    assert (await shop.web.post("/api/events", json=stranger, headers=headers)).status_code == 403


async def test_acting(shop: Shop) -> None:
    web, headers = shop.web, shop.bearer(tenants=["theirs"], actions=["read", "act"])
    replayed = await web.post(f"/api/runs/{shop.theirs}/replay", headers=headers)
    assert replayed.json()["run"]["replay_of"] == shop.theirs
    assert (await web.post(f"/api/runs/{shop.theirs}/retry", headers=headers)).json() == {"retried": shop.theirs}
    bulk = {"action": "cancel", "run_ids": [shop.theirs, shop.mine]}
    done = (await web.post("/api/runs/bulk", json=bulk, headers=headers)).json()["results"]
    assert [one["done"] for one in done] == [True, False]
    assert "no such run" in done[1]["error"]


async def test_operations(shop: Shop) -> None:
    web, headers = shop.web, shop.operator
    for path, name in (("schedules/hourly", "schedules"), ("queues/default", "queues"), ("tenants/mine", "tenants")):
        for verb, paused in (("pause", True), ("resume", False)):
            assert (await web.post(f"/api/{path}/{verb}", headers=headers)).json()["paused"] is paused
            rows = (await web.get(f"/api/{name}", headers=headers)).json()[name]
            key = path.partition("/")[2]
            assert next(row for row in rows if key in (row.get("id"), row.get("name")))["paused"] is paused
    assert len((await web.get("/api/schedules/hourly/next?count=3", headers=headers)).json()["next"]) == 3
    assert len((await web.post("/api/schedules/hourly/trigger?tenant_id=mine", headers=headers)).json()["runs"]) == 1
    limits = {"weight": 2, "rate": {"n": 5}, "queued": {"hard": 100}}
    assert (await web.post("/api/tenants/mine/limits", json=limits, headers=headers)).json()["changed"] == [
        "queued", "rate", "weight",
    ]  # fmt: skip
    usage = (await web.get("/api/tenants/mine/usage?by=hour", headers=headers)).json()
    assert usage["limits"]["weight"] == 2
    assert usage["quotas"][0]["hard"] == 100
    assert len((await web.get("/api/workers", headers=headers)).json()["workers"]) == 1
    assert (await web.get("/api/events/api.ordered/schema", headers=headers)).json()["x-event-name"] == "api.ordered"


# -- strangers -----------------------------------------------------------------------------------------------------------

Check = Callable[[Shop, httpx.Response], bool]
REFUSED: Check = lambda _, answer: answer.status_code == 403  # noqa: E731
ABSENT: Check = lambda _, answer: answer.status_code == 404  # noqa: E731
OWN: Check = lambda shop, answer: (  # noqa: E731
    answer.status_code < 300 and "theirs" not in answer.text and shop.theirs not in answer.text
)
OF_ALL: Check = lambda _, answer: answer.status_code == 200 and "theirs" not in answer.text  # noqa: E731
STRANGERS: dict[tuple[str, str], tuple[Check, Any]] = {
    ("GET", "/runs"): (OWN, None),
    ("GET", "/runs/count"): (lambda _, answer: sum(answer.json()["states"].values()) == 1, None),
    ("POST", "/runs/bulk"): (lambda _, answer: not answer.json()["results"][0]["done"], "bulk"),
    ("GET", "/runs/{run_id}"): (ABSENT, None),
    ("GET", "/runs/{run_id}/steps"): (ABSENT, None),
    ("GET", "/runs/{run_id}/attempts"): (ABSENT, None),
    ("GET", "/runs/{run_id}/log"): (ABSENT, None),
    ("POST", "/runs/{run_id}/cancel"): (ABSENT, None),
    ("POST", "/runs/{run_id}/retry"): (ABSENT, None),
    ("POST", "/runs/{run_id}/replay"): (ABSENT, None),
    ("GET", "/runs/{run_id}/progress"): (ABSENT, None),
    ("GET", "/events"): (OF_ALL, None),
    ("GET", "/events/{name}/schema"): (OF_ALL, None),
    ("POST", "/events"): (REFUSED, {"event": "api.ordered", "payload": {"tenant_id": "theirs", "order_id": "1"}}),
    ("GET", "/schedules"): (OF_ALL, None),
    ("GET", "/schedules/{schedule_id}/next"): (OF_ALL, None),
    ("POST", "/schedules/{schedule_id}/pause"): (REFUSED, None),
    ("POST", "/schedules/{schedule_id}/resume"): (REFUSED, None),
    ("POST", "/schedules/{schedule_id}/trigger"): (OWN, None),
    ("GET", "/tenants"): (OWN, None),
    ("GET", "/tenants/{tenant_id}/usage"): (REFUSED, None),
    ("POST", "/tenants/{tenant_id}/pause"): (REFUSED, None),
    ("POST", "/tenants/{tenant_id}/resume"): (REFUSED, None),
    ("POST", "/tenants/{tenant_id}/limits"): (REFUSED, {"weight": 9}),
    ("GET", "/queues"): (OF_ALL, None),
    ("POST", "/queues/{queue}/pause"): (REFUSED, None),
    ("POST", "/queues/{queue}/resume"): (REFUSED, None),
    ("GET", "/workers"): (REFUSED, None),
    ("GET", "/openapi.json"): (OF_ALL, None),
}
"""What a token of tenant ``mine`` with every action meets where it asks for what is tenant ``theirs``'s."""


async def test_no_route_lets_a_stranger_in(shop: Shop) -> None:
    assert STRANGERS.keys() == {(route.method, route.path) for route in ROUTES}, "a case for every route"
    headers = shop.bearer(tenants=["mine"], actions=["read", "payload", "send", "act"])
    names = {
        "run_id": shop.theirs,
        "tenant_id": "theirs",
        "name": "api.ordered",
        "schedule_id": "hourly",
        "queue": "default",
    }
    wrong: list[str] = []
    for (method, path), (check, body) in STRANGERS.items():
        given = {"action": "cancel", "run_ids": [shop.theirs]} if body == "bulk" else body
        url = "/api" + re.sub(r"{(\w+)}", lambda found: names[found[1]], path)
        answer = await shop.web.request(method, url, json=given, headers=headers)
        if not check(shop, answer):
            wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        naming = await shop.web.request(method, url + "?tenant_id=theirs", json=given, headers=headers)
        if naming.is_success and "theirs" in naming.text:
            wrong.append(f"{method} {path}?tenant_id=theirs: {naming.text[:200]}")
    assert not wrong, "\n".join(wrong)
    with tenant_context("theirs"):
        assert (await shop.jobs.runs.get(shop.theirs)).state == "failed"
        assert sum((await shop.jobs.runs.count()).values()) == 1


async def test_every_action_is_asked_for(shop: Shop) -> None:
    for route in ROUTES:
        without = [action for action in ("read", "payload", "send", "act") if action != route.action]
        url = "/api" + re.sub(r"{\w+}", "x", route.path)
        for headers, status in (({}, 401), (shop.bearer(tenants=None, actions=without), 403)):
            answer = await shop.web.request(route.method, url, headers=headers)
            assert answer.status_code == status, (route.method, route.path, answer.text)


async def test_a_token_of_one_run_reads_that_run(shop: Shop) -> None:
    token = shop.jobs.tokens.for_run(shop.mine, tenant_id="mine")
    answer = await shop.web.get(f"/api/runs/{shop.mine}/progress?token={token}")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text.startswith("event: end\ndata: {")
    assert "payload" not in answer.text
    headers = {"authorization": f"Bearer {token}"}
    assert (await shop.web.get(f"/api/runs/{shop.mine}", headers=headers)).json()["state"] == "completed"
    assert (await shop.web.get(f"/api/runs/{shop.theirs}", headers=headers)).status_code == 404
    assert (await shop.web.get("/api/runs", headers=headers)).status_code == 403
    assert (await shop.web.get(f"/api/runs/{shop.mine}?token={token}")).status_code == 401
    whole = shop.jobs.tokens.issue(tenants=["mine"])
    assert (await shop.web.get(f"/api/runs/{shop.mine}/progress?token={whole}")).status_code == 401


async def test_other_origins_read_runs_where_it_is_configured(shop: Shop) -> None:
    transport = httpx.ASGITransport(app=shop.jobs.asgi(origins=["https://page.example"]))
    path = f"/api/runs/{shop.mine}/progress"
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as web:
        for origin, allowed in (("https://page.example", "https://page.example"), ("https://evil.example", None)):
            answer = await web.get(path, headers={"origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
    assert (
        "access-control-allow-origin"
        not in (await shop.web.get(path, headers={"origin": "https://page.example"})).headers
    )


# -- bad input -----------------------------------------------------------------------------------------------------------

JSON = {"content-type": "application/json"}
GOOD = b'{"event":"api.ordered","payload":{"tenant_id":"mine","order_id":"1"}}'


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (gzip.compress(b"0" * 10_000_000), JSON | {"content-encoding": "gzip"}, 415),
        (GOOD, {"content-type": "text/plain"}, 415),
        (GOOD, {"content-type": "application/json; charset=utf-16"}, 415),
        (b'{"event":"\xff"}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b'{"event":"api.ordered","payload":{"a":' + b'{"a":' * 100 + b"1" + b"}" * 102, JSON, 400),
        (b'{"event":"api.ordered","payload":{"a":NaN}}', JSON, 400),
        (b'{"event":"api.ordered","payload":{"order_id":"\\ud800","tenant_id":"mine"}}', JSON, 400),
        (b"[]", JSON, 400),
        (b"{}", JSON, 422),
        (GOOD[:-1] + b',"delai":5}', JSON, 422),
        (b'{"event":"api.ordered","payload":{"tenant_id":5}}', JSON, 422),
        (b'{"event":"api.ordered","payload":{"tenant_id":"mine"}}', JSON, 422),
        (b'{"event":"api.ordered","payload":{"tenant_id":"mine","order_id":"\\u0000"}}', JSON, 422),
        (b'{"event":"no.such","payload":{"tenant_id":"mine"}}', JSON, 422),
        (b'{"event":"api.ordered","payload":{"order_id":"1"}}', JSON, 400),
        (b" " * 1_048_577, JSON, 413),
        (GOOD, JSON | {"idempotency-key": "x" * 256}, 400),
    ],
    ids=range(18),
)
async def test_bodies_that_are_none_store_nothing(
    shop: Shop, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await shop.web.post("/api/events", content=body, headers=headers | shop.operator)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert answer.json()["detail"]
    assert "Traceback" not in answer.text
    counted = (await shop.web.get("/api/runs/count", headers=shop.operator)).json()["states"]
    assert sum(counted.values()) == 2


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 422), ("limit=x", 422), ("cursor=x", 422), ("since=2026-01-01T00:00:00", 422), ("state=odd", 422),
        ("taks=note", 422), ("task=%ff", 400), ("task=%00", 400), ("task=a&task=b", 400), ("tenant_id=UPPER", 422),
        ("x=" + "y" * 5_000, 414),
    ],
)  # fmt: skip
async def test_queries_that_are_none(shop: Shop, query: str, status: int) -> None:
    answer = await shop.web.get(f"/api/runs?{query}", headers=shop.operator)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text


async def test_what_nobody_foresaw_tells_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(shop.jobs.runs, "list", broken)
    with caplog.at_level(logging.ERROR, "cgk_jobs.api"):
        answer = await shop.web.get("/api/runs", headers=shop.operator)
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "a call of the API failed" in caplog.text


async def test_the_document_names_every_route_and_resolves(shop: Shop) -> None:
    document = (await shop.web.get("/api/openapi.json", headers=shop.operator)).json()
    assert document["openapi"] == "3.1.0"
    there = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert there == {(route.method, "/api" + route.path) for route in ROUTES}
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))
    text = str(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]
    for item in document["paths"]:
        for operation in document["paths"][item].values():
            named = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
            assert named == re.findall(r"{(\w+)}", item)
