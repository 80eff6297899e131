"""Who gets in: the operator's token, signed tokens, sessions, the application's own login, and this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from cgk_jobs import Jobs
from cgk_jobs.errors import InvalidEvent, InvalidToken, NotConfigured
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.web.access import ACTIONS, EVERYTHING, Access, Refused
from cgk_jobs.web.access_gate import Gate
from cgk_jobs.web.access_tokens import Tokens

KEY = b"k" * 32
OPERATOR = "operator-token-of-24-chars-and-more"


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}", clock=TestClock())
    yield jobs
    jobs.close()


@pytest.fixture
def tokens(jobs: Jobs) -> Tokens:
    return Tokens([KEY], "default", jobs.clock, jobs.provider.store)


def gate_of(jobs: Jobs, tokens: Tokens, operator: str | None = None, authorize: Any = None) -> Gate:
    return Gate(tokens, jobs.clock, operator, [KEY], authorize)


def scope(method: str = "GET", peer: str | None = "127.0.0.1", version: str = "1.1", **headers: str) -> dict[str, Any]:
    sent: Mapping[str, str] = {"host": "localhost:8000"} | headers
    return {
        "type": "http",
        "method": method,
        "client": None if peer is None else (peer, 5),
        "http_version": version,
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
    }


async def refusal(gate: Gate, asked: dict[str, Any]) -> int:
    with pytest.raises(Refused) as caught:
        await gate.access(asked)
    return caught.value.status


async def test_a_token_grants_what_it_says_and_no_more(jobs: Jobs, tokens: Tokens) -> None:
    gate = gate_of(jobs, tokens, OPERATOR)
    token = tokens.issue(tenants=["rawdog"], actions=["read", "act"])
    access = await gate.access(scope(peer="203.0.113.9", authorization=f"Bearer {token}"))
    assert access is not None
    assert access.sees("rawdog")
    assert not access.sees("other")
    assert not access.sees(None)
    assert access.may("act")
    assert not access.may("send")
    assert await gate.access(scope(peer="203.0.113.9", authorization=f"Bearer {OPERATOR}")) is EVERYTHING


async def test_tokens_end_are_revoked_and_belong_to_one_application(jobs: Jobs, tokens: Tokens) -> None:
    token = tokens.issue(tenants=["rawdog"], expires=60)
    elsewhere = Tokens([KEY], "other", jobs.clock, jobs.provider.store)
    with pytest.raises(InvalidToken, match="not valid"):
        await elsewhere.open(token)
    assert await tokens.revoke(token)
    assert not await tokens.revoke(token)
    with pytest.raises(InvalidToken, match="revoked"):
        await tokens.open(token)
    second = tokens.issue(tenants=["rawdog"], expires=60)
    assert (await tokens.open(second)).tenants == frozenset({"rawdog"})
    assert isinstance(jobs.clock, TestClock)
    jobs.clock.advance(61)
    with pytest.raises(InvalidToken, match="time is over"):
        await tokens.open(second)


@pytest.mark.parametrize("wrong", ["", "x", "Basic eA==", "Bearer", "Bearer a.b", f"Bearer {OPERATOR}x", "Bearer é"])
async def test_what_is_no_token_is_refused_and_not_repeated(jobs: Jobs, tokens: Tokens, wrong: str) -> None:
    assert await refusal(gate_of(jobs, tokens, OPERATOR), scope(authorization=wrong)) == 401


async def test_without_a_login_this_machine_alone_is_served(jobs: Jobs, tokens: Tokens) -> None:
    gate = gate_of(jobs, tokens)
    assert await gate.access(scope()) is EVERYTHING
    assert await gate.access(scope(peer="::1", host="[::1]:8000")) is EVERYTHING
    for asked in (
        scope(peer="203.0.113.9"),
        scope(peer=None),
        scope(x_forwarded_for="127.0.0.1"),
        scope(forwarded="for=127.0.0.1"),
        scope(via="1.1 proxy"),
        scope(x_real_ip="127.0.0.1"),
        scope(version="1.0"),
        scope(host="evil.example"),
        scope(host="localhost.evil.example"),
        scope(host=""),
    ):
        assert await refusal(gate, asked) == 403


async def test_with_a_login_this_machine_is_asked_too(jobs: Jobs, tokens: Tokens) -> None:
    assert await gate_of(jobs, tokens, OPERATOR).access(scope()) is None
    assert await gate_of(jobs, tokens, None, lambda _: None).access(scope()) is None


async def test_another_sites_page_writes_nothing(jobs: Jobs, tokens: Tokens) -> None:
    gate = gate_of(jobs, tokens)
    for headers in (
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"origin": "http://[broken"},
    ):
        assert await refusal(gate, scope("POST", **headers)) == 403
    assert await gate.access(scope("POST", origin="http://localhost:8000", sec_fetch_site="same-origin")) is EVERYTHING
    token = tokens.issue(tenants=["rawdog"])
    assert await gate.access(scope("POST", origin="https://shop.example", authorization=f"Bearer {token}")) is not None


async def test_the_applications_own_login_decides(jobs: Jobs, tokens: Tokens) -> None:
    mine = Access(frozenset({"rawdog"}), frozenset({"read"}))

    async def authorize(asked: Any) -> Access | None:
        return mine if (b"x-user", b"me") in asked["headers"] else None

    gate = gate_of(jobs, tokens, None, authorize)
    assert await gate.access(scope(peer="203.0.113.9", x_user="me")) is mine
    assert await gate.access(scope(peer="203.0.113.9", x_user="you")) is None


def test_nothing_vague_is_granted(jobs: Jobs, tokens: Tokens) -> None:
    with pytest.raises(InvalidEvent, match="no tenant"):
        tokens.issue(tenants=[])
    with pytest.raises(InvalidEvent, match="at least one"):
        tokens.issue(tenants=None, actions=["everything"])
    with pytest.raises(InvalidEvent, match="lists"):
        tokens.issue(tenants="rawdog")
    with pytest.raises(InvalidEvent, match="at most 90 days"):
        tokens.issue(tenants=None, expires=91 * 86_400)
    with pytest.raises(NotConfigured, match="JOBS_SIGNING_KEY"):
        Tokens([], "default", jobs.clock, jobs.provider.store).issue(tenants=None)


@pytest.fixture
async def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("JOBS_DASHBOARD_TOKEN", OPERATOR)
    monkeypatch.setenv("JOBS_SIGNING_KEY", KEY.decode())
    jobs = Jobs(f"sqlite:///{tmp_path / 'web.db'}")
    transport = httpx.ASGITransport(app=jobs.asgi())
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        yield client
    jobs.close()


async def test_a_login_gives_a_cookie_no_script_and_no_other_site_gets(web: httpx.AsyncClient) -> None:
    answer = await web.post("/login", data={"token": OPERATOR})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Strict", "Secure", "Path=/", "Max-Age=28800"))
    assert OPERATOR not in cookie
    answer = await web.post("/logout", headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "Max-Age=0" in (await web.post("/logout")).headers["set-cookie"]


async def test_failed_logins_are_slowed_down(web: httpx.AsyncClient) -> None:
    for _ in range(10):
        assert (await web.post("/login", data={"token": "guess"})).status_code == 401
    answer = await web.post("/login", data={"token": OPERATOR})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) <= 61


@pytest.mark.parametrize("body", [b"\xff\xfe", b"token=%ff%fe&token=x", b"a=1", b"token=" + b"x" * 9_000, b"&" * 100])
async def test_forms_that_are_none(web: httpx.AsyncClient, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert 400 <= (await web.post("/login", content=body, headers=headers)).status_code < 500


def test_a_short_operator_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_DASHBOARD_TOKEN", "short")
    with pytest.raises(NotConfigured, match="at least 24 characters"):
        Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")


def test_everything_is_everything() -> None:
    assert EVERYTHING.actions == ACTIONS
    assert EVERYTHING.sees(None)


async def test_a_login_without_its_ledger_says_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_SIGNING_KEY", KEY.decode())
    (tmp_path / "gone.db").write_text("no database, and longer than a hundred bytes" * 5)
    jobs = Jobs(f"sqlite:///{tmp_path / 'gone.db'}")
    transport = httpx.ASGITransport(app=jobs.asgi())
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        answer = await client.post("/login", data={"token": jobs.tokens.issue(tenants=["rawdog"])})
        headers = {"authorization": f"Bearer {jobs.tokens.issue(tenants=['rawdog'])}"}
        asked = await client.get("/api/runs", headers=headers)
    assert (answer.status_code, asked.status_code) == (503, 503)
    assert str(tmp_path) not in answer.text + asked.text
    jobs.close()
