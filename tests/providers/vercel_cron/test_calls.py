"""Who is let in, and what is answered."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from tests.providers.qstash.harness import ask

from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.providers.vercel_cron.receive import Guarded

SECRET, PREVIOUS = "a-secret-of-thirty-two-characters", "the-one-before-it-that-still-counts"


class Work:
    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble, self.calls = trouble, 0

    async def __call__(self) -> Mapping[str, int]:
        self.calls += 1
        if self.trouble is not None:
            raise self.trouble
        return {"runs": 3, "left": 0, "overlap": 0}


async def call(
    work: Work, headers: dict[str, str], *, secrets: tuple[str, ...] = (SECRET, PREVIOUS), **more: Any
) -> Any:
    return await ask(Guarded(secrets, work), b"", headers, **{"method": "GET", **more})


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
async def test_either_secret_lets_in(secret: str) -> None:
    work = Work()
    status, _, body = await call(work, {"authorization": f"Bearer {secret}"})
    assert (status, work.calls) == (200, 1)
    assert b'"runs"' in body


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": SECRET},
        {"authorization": f"bearer {SECRET}"},
        {"authorization": f"Bearer {SECRET} "},
        {"authorization": f"Bearer {SECRET}x"},
        {"authorization": f"Bearer {SECRET[:-1]}"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer \xff\xfe"},
        {"x-vercel-cron-schedule": "* * * * *", "user-agent": "vercel-cron/1.0"},
    ],
)
async def test_nobody_else_is(headers: dict[str, str]) -> None:
    work = Work()
    status, answered, body = await call(work, headers)
    assert (status, work.calls) == (401, 0)
    assert answered["www-authenticate"] == 'Bearer realm="cgk-jobs"'
    assert SECRET.encode() not in body


async def test_without_a_secret_nobody_is_let_in() -> None:
    work = Work()
    for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Bearer None"}):
        status, _, _ = await call(work, headers, secrets=())
        assert (status, work.calls) == (401, 0)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "get"])
async def test_only_get(method: str) -> None:
    work = Work()
    status, answered, _ = await call(work, {"authorization": f"Bearer {SECRET}"}, method=method)
    assert (status, work.calls, answered["allow"]) == (405, 0, "GET")


async def test_a_ledger_that_can_t_be_reached_is_said_to_be() -> None:
    status, answered, body = await call(
        Work(ProviderUnavailable("postgresql://u:pw@db is down")), {"authorization": f"Bearer {SECRET}"}
    )
    assert status == 503
    assert int(answered["retry-after"]) > 0
    assert b"pw" not in body


async def test_what_nobody_foresaw_tells_the_caller_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    status, _, body = await call(Work(RuntimeError("customer 4711")), {"authorization": f"Bearer {SECRET}"})
    assert status == 500
    assert "4711" not in body.decode() + caplog.text
    assert "RuntimeError in " in caplog.text
