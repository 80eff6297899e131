"""A hundred thousand mutated requests at the JSON API: none crosses to another tenant, nothing breaks, each is answered.

python -m tests.full.hostile_api                            exit code 1 if anything is wrong
python -m tests.full.hostile_api --count 1000000 --seed 7   another size, another sequence
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.providers.hostile import changed_text

from cgk_jobs import Event, Jobs, across_tenants
from cgk_jobs.api.application import ROUTES
from cgk_jobs.tenancy import tenant_context

__all__ = ["Finding", "attack"]

COUNT = 100_000
LONGEST = 50.0
"""Milliseconds of the slowest hundredth."""
OPERATOR = "operator-token-of-24-chars-and-more"
BODIES = (
    b'{"event":"hostile.sent","payload":{"tenant_id":"mine","number":1}}',
    b'{"action":"retry","run_ids":["0190163d-8694-739b-aea5-966c26f8ad91"]}',
    b'{"weight":2,"rate":{"n":5},"queued":{"hard":100}}',
    b"{}",
    b"",
)
QUERIES = (b"", b"limit=5", b"tenant_id=mine", b"tenant_id=theirs", b"state=failed&task=note", b"count=3", b"token=x")


class HostileSent(Event, name="hostile.sent"):
    number: int


@dataclass
class Finding:
    """What came of it. ``p99``: milliseconds of the slowest hundredth; ``stored``: runs that only a good login may make."""

    tried: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    complaints: list[str] = field(default_factory=list[str])
    stored: int = 0
    p99: float = 0.0


async def attack(folder: Path, count: int, seed: int) -> Finding:
    """``count`` mutated requests, the same for the same ``seed``, by a caller who holds a token that reads tenant ``mine``."""
    settings = {"JOBS_DASHBOARD_TOKEN": OPERATOR, "JOBS_SIGNING_KEY": "k" * 32}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        jobs = Jobs(f"sqlite:///{folder / 'jobs.db'}")
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    @jobs.task(id="note", on=HostileSent)
    async def note(event: HostileSent) -> None:
        """Nothing."""

    # Later, so that no worker changes it: a call at a path of nobody begins this process's work.
    secret = (await jobs.send(HostileSent(tenant_id="theirs", number=7_777_777), delay=3_600)).run_id
    with tenant_context("theirs"):
        untouched = await jobs.runs.get(secret)
    own = (await jobs.send(HostileSent(tenant_id="mine", number=1))).run_id
    token = jobs.tokens.issue(tenants=["mine"]).encode()
    app, chance, finding, times = jobs.asgi(), random.Random(seed), Finding(), []
    names = {
        "run_id": (secret, own, "x"),
        "tenant_id": ("theirs", "mine"),
        "name": ("hostile.sent",),
        "queue": ("default",),
    }
    for number in range(count):
        route = chance.choice(ROUTES)
        if route.stream:
            continue
        path = re.sub(r"{(\w+)}", lambda found: chance.choice(names.get(found[1], ("x",))), "/api" + route.path)
        if chance.random() < 0.2:
            path = changed_text(path.encode(), chance).decode("utf-8", "replace")
        headers = [(b"host", b"shop.example"), (b"authorization", b"Bearer " + token)]
        if chance.random() < 0.5:
            headers[1] = (b"authorization", changed_text(headers[1][1], chance))
        if chance.random() < 0.9:
            headers.append((b"content-type", b"application/json"))
        if chance.random() < 0.1:
            headers.append((b"content-encoding", chance.choice([b"gzip", b"br", b"identity"])))
        if chance.random() < 0.1:
            headers.append((b"content-length", str(chance.randrange(10**7)).encode()))
        if chance.random() < 0.1:
            headers.append((b"idempotency-key", changed_text(b"key", chance)))
        body, query = chance.choice(BODIES), chance.choice(QUERIES)
        if chance.random() < 0.7:
            body = changed_text(body or b" ", chance)
        if chance.random() < 0.5:
            query = changed_text(query or b"x", chance)
        method = route.method if chance.random() < 0.9 else chance.choice(["GET", "POST", "PUT", "DELETE", "HEAD"])
        began = perf_counter()
        try:
            status, text = await _call(app, method, path, query, headers, body)
        except Exception as error:
            finding.complaints.append(f"number {number} {method} {path!r}: {type(error).__name__}: {error}")
            continue
        times.append(perf_counter() - began)
        finding.statuses[status] += 1
        if status >= 500 or "7777777" in text or "Traceback" in text or (status == 200 and secret in text):
            finding.complaints.append(f"number {number} {method} {path!r} {query!r}: {status} {text[:200]}")
    with across_tenants(reason="the count after an attack"):
        finding.stored = sum((await jobs.runs.count()).values()) - 2
    with tenant_context("theirs"):
        if await jobs.runs.get(secret) != untouched:
            finding.complaints.append("another tenant's run was changed")
    finding.tried, finding.p99 = count, 1_000 * sorted(times)[int(len(times) * 0.99)]
    await jobs.stop()
    jobs.close()
    return finding


async def _call(
    app: Any, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, str]:
    incoming: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "scheme": "https", "path": path, "raw_path": b"", "query_string": query,
        "root_path": "", "headers": headers, "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Ask the API as nobody should.")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        finding = asyncio.run(attack(Path(folder), options.count, options.seed))
    print(
        f"api: {finding.tried:,} requests, {finding.stored} stored, answers {dict(sorted(finding.statuses.items()))}, "
        f"p99 {finding.p99:.2f} ms, {perf_counter() - began:.0f} s"
    )
    for complaint in finding.complaints[:20]:
        print(f"  {complaint}")
    return 1 if finding.complaints or finding.stored or finding.p99 > LONGEST else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
