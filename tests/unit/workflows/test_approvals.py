"""A person answers a run that waits, by a signed link."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest

from cgk_jobs import (
    Context,
    DuplicateKey,
    Event,
    InvalidEvent,
    InvalidToken,
    Jobs,
    NotConfigured,
    Retry,
    RunCancelled,
    RunFailed,
    RunNotFound,
    TenantMismatch,
    Tick,
    UnknownEvent,
    WaitTimeout,
    across_tenants,
    tenant_context,
)
from cgk_jobs.events.secret import Secret
from cgk_jobs.runs import Run
from cgk_jobs.runtime.approving import ApprovalLink
from cgk_jobs.testing import JobsHarness
from cgk_jobs.wire.signing import Signer

KEY, OTHER_KEY = "k" * 32, "o" * 32
ONCE = Retry(max_attempts=1)
THREE_DAYS = timedelta(days=3)


class Asked(Event, name="approvals.asked"):
    payout_id: str = "p1"


class Decided(Event, name="approvals.decided"):
    payout_id: str
    approved: bool
    by: str = ""
    at: datetime | None = None
    password: Annotated[str, Secret] = ""


@pytest.fixture(autouse=True)
def signing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_SIGNING_KEY", KEY)
    monkeypatch.setenv("JOBS_PUBLIC_URL", "https://shop.example/jobs/")


@pytest.fixture
def jobs(signing: None, jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


def asker(jobs: Jobs, links: list[ApprovalLink], match: Any = "payout_id", **options: Any) -> None:
    @jobs.task(on=Asked, id="asker", retry=Retry(max_attempts=2, initial=1, jitter=False))
    async def ask(event: Asked, ctx: Context) -> str:
        links.append(ctx.approval_link(Decided, match, **{"expires": THREE_DAYS, **options}))
        try:
            decided = await ctx.wait_for(Decided, "payout_id", timeout=THREE_DAYS)
        except WaitTimeout:
            return "nobody answered"
        return f"{decided.approved} by {decided.by or 'nobody'}"


async def ask(jobs: Jobs, harness: JobsHarness, match: Any = "payout_id", **options: Any) -> ApprovalLink:
    links: list[ApprovalLink] = []
    asker(jobs, links, match, **options)
    await jobs.send(Asked(tenant_id="acme"))
    await harness.drain()
    jobs.events.add(Decided)
    return links[0]


async def only_run(harness: JobsHarness) -> Run:
    (run,) = await harness.runs_of("acme")
    return run


async def test_a_run_waits_until_its_link_is_answered(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    link = await ask(jobs, jobs_harness)
    assert link.url == f"https://shop.example/jobs/approve/{link.token}"
    assert link.expires_at - jobs_harness.clock.now() == THREE_DAYS
    assert link.token not in repr(link)
    assert (await only_run(jobs_harness)).state == "waiting"

    shown = await jobs.approval(link.token)
    run = await only_run(jobs_harness)
    assert (shown.tenant_id, shown.run_id, shown.task, shown.state, shown.event) == (
        "acme", run.id, "asker", "waiting", Decided
    )  # fmt: skip
    assert (shown.fields, shown.required, shown.asks) == (
        {"payout_id": "p1"}, ("approved",), ("approved", "by", "at", "password")
    )  # fmt: skip
    await jobs_harness.drain()
    assert (await only_run(jobs_harness)).state == "waiting"  # to look is not to answer

    sent = await jobs.approve(link.token, approved=True, by="ann")
    assert sent.status == "accepted"
    await jobs_harness.drain()
    assert (await only_run(jobs_harness)).result == "True by ann"


async def test_a_second_answer_is_a_duplicate_and_another_one_is_refused(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    link = await ask(jobs, jobs_harness)
    first = await jobs.approve(link.token, approved=True)
    assert (await jobs.approve(link.token, approved=True)).status == "duplicate"
    await jobs_harness.drain()
    jobs_harness.clock.advance(2 * 86_400)  # later than an ordinary key is remembered
    again = await jobs.approve(link.token, approved=True)
    assert (again.status, again.event_id) == ("duplicate", first.event_id)
    with pytest.raises(DuplicateKey):
        await jobs.approve(link.token, approved=False)
    assert (await only_run(jobs_harness)).result == "True by nobody"


async def test_a_link_for_each_answer(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    links: list[ApprovalLink] = []

    @jobs.task(on=Asked, retry=ONCE)
    async def handler(event: Asked, ctx: Context) -> bool:
        for approved in (True, False):
            match = {"payout_id": event.payout_id, "approved": approved}
            links.append(ctx.approval_link(Decided, match, expires=60, name="decision"))
        return (await ctx.wait_for(Decided, "payout_id")).approved

    await jobs.send(Asked(tenant_id="acme"))
    await jobs_harness.drain()
    jobs.events.add(Decided)
    await jobs.approve(links[1].token)
    with pytest.raises(DuplicateKey):
        await jobs.approve(links[0].token)
    await jobs_harness.drain()
    assert (await only_run(jobs_harness)).result is False


async def test_links_with_other_fields_are_other_decisions(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    links: list[ApprovalLink] = []

    @jobs.task(on=Asked, retry=ONCE)
    async def handler(event: Asked, ctx: Context) -> list[str]:
        wanted = [{"payout_id": number} for number in ("1", "2")]
        links.extend(ctx.approval_link(Decided, match, expires=60) for match in wanted)
        return [(await ctx.wait_for(Decided, match)).payout_id for match in wanted]

    await jobs.send(Asked(tenant_id="acme"))
    await jobs_harness.drain()
    jobs.events.add(Decided)
    for link in links:
        assert (await jobs.approve(link.token, approved=True)).status == "accepted"
    await jobs_harness.drain()
    assert (await only_run(jobs_harness)).result == ["1", "2"]


async def test_an_attempt_made_again_asks_for_the_same_decision(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    links: list[ApprovalLink] = []

    @jobs.task(on=Asked, retry=Retry(max_attempts=2, initial=1, jitter=False))
    async def handler(event: Asked, ctx: Context) -> None:
        links.append(ctx.approval_link(Decided, "payout_id", expires=60))
        if ctx.attempt == 1:
            raise ConnectionError

    await jobs.send(Asked(tenant_id="acme"))
    await jobs_harness.drain(with_scheduled=True)
    jobs.events.add(Decided)
    assert links[0].token != links[1].token  # the second is good for longer
    assert (await jobs.approve(links[0].token, approved=True)).status == "accepted"
    assert (await jobs.approve(links[1].token, approved=True)).status == "duplicate"


async def test_an_expired_link_is_refused(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    link = await ask(jobs, jobs_harness)
    jobs_harness.clock.advance(THREE_DAYS.total_seconds())
    for work in (jobs.approve(link.token, approved=True), jobs.approval(link.token)):
        with pytest.raises(InvalidToken, match="too old: ask for a new one") as refusal:
            await work
        assert refusal.value.expired
        assert link.token not in str(refusal.value)


async def test_a_forged_link_is_refused_whatever_it_says(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    link = await ask(jobs, jobs_harness)
    body, mac = link.token.split(".")
    claims = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    for old, new in ((b"acme", b"evil"), (b"p1", b"p2"), (b"approvals.decided", b"approvals.asked")):
        forged = base64.urlsafe_b64encode(claims.replace(old, new)).decode().rstrip("=")
        assert forged != body
        with pytest.raises(InvalidToken, match="no approval link of this application") as refusal:
            await jobs.approve(f"{forged}.{mac}", approved=True)
        assert not refusal.value.expired
        assert forged not in str(refusal.value)
    other = Signer([OTHER_KEY.encode()]).sign("approval", claims[8:], 1 << 40)
    with pytest.raises(InvalidToken):
        await jobs.approve(other, approved=True)
    hook = Signer([KEY.encode()]).sign("webhook", claims[8:], 1 << 40)
    with pytest.raises(InvalidToken):
        await jobs.approve(hook, approved=True)
    await jobs_harness.drain()
    assert (await only_run(jobs_harness)).state == "waiting"


async def test_a_new_key_takes_over(jobs: Jobs, jobs_harness: JobsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    link = await ask(jobs, jobs_harness)
    for keys, good in ((f"{OTHER_KEY},{KEY}", True), (OTHER_KEY, False)):
        monkeypatch.setenv("JOBS_SIGNING_KEY", keys)
        web = Jobs(provider=jobs.provider, clock=jobs_harness.clock)
        web.events.add(Decided)
        if good:
            assert (await web.approval(link.token)).tenant_id == "acme"
        else:
            with pytest.raises(InvalidToken, match="set it to new,old"):
                await web.approval(link.token)


async def test_the_link_alone_says_whose_run_it_is(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    link = await ask(jobs, jobs_harness)
    for fields in ({"tenant_id": "evil"}, {"payout_id": "p2"}):
        with pytest.raises(InvalidEvent, match="is settled by the link"):
            await jobs.approve(link.token, approved=True, **fields)
    for work in (jobs.approve(link.token, approved=True), jobs.approval(link.token)):
        with tenant_context("other"), pytest.raises(TenantMismatch):
            await work
    with tenant_context("acme"):
        assert (await jobs.approve(link.token, approved=True)).status == "accepted"
    with across_tenants(reason="a test"):
        assert (await jobs.approve(link.token, approved=True)).status == "duplicate"


async def test_the_answer_is_checked_as_any_event(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    link = await ask(jobs, jobs_harness)
    for fields, message in (
        ({}, "approved is missing"),
        ({"approved": "yes"}, "approved"),
        ({"approved": True, "extra": 1}, "extra is not a field"),
        ({"approved": True, "at": "2026-01-01T00:00:00"}, "aware datetime"),
    ):
        with pytest.raises(InvalidEvent, match=message):
            await jobs.approve(link.token, **fields)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for at in (moment, "2026-01-01T00:00:00Z"):
        await jobs.approve(link.token, approved=True, at=at)


async def test_a_run_that_ended_otherwise_takes_no_answer(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    link = await ask(jobs, jobs_harness)
    with tenant_context("acme"):
        await jobs.runs.cancel((await only_run(jobs_harness)).id)
    with pytest.raises(RunCancelled, match=r"too late: run .* is cancelled\. Nothing was sent"):
        await jobs.approve(link.token, approved=True)
    with tenant_context("acme"):
        await jobs.runs.retry((await only_run(jobs_harness)).id)
    assert (await jobs.approve(link.token, approved=True)).status == "accepted"


async def test_a_failed_run_takes_none_either(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    links: list[ApprovalLink] = []

    @jobs.task(on=Asked, retry=ONCE)
    async def handler(event: Asked, ctx: Context) -> None:
        links.append(ctx.approval_link(Decided, "payout_id", expires=60))
        raise ValueError

    await jobs.send(Asked(tenant_id="acme"))
    await jobs_harness.drain()
    jobs.events.add(Decided)
    with pytest.raises(RunFailed, match="too late"):
        await jobs.approve(links[0].token, approved=True)


async def test_a_link_of_another_ledger_is_refused(jobs: Jobs, jobs_harness: JobsHarness, tmp_path: Any) -> None:
    link = await ask(jobs, jobs_harness)
    other = Jobs(database=tmp_path / "other.db", clock=jobs_harness.clock)
    other.events.add(Decided)
    try:
        with pytest.raises(RunNotFound, match="another installation"):
            await other.approve(link.token, approved=True)
    finally:
        other.close()


async def test_a_process_that_does_not_know_the_event_says_so(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    link = await ask(jobs, jobs_harness)
    web = Jobs(provider=jobs.provider, clock=jobs_harness.clock)
    with pytest.raises(UnknownEvent, match=r"approvals\.decided"):
        await web.approve(link.token, approved=True)


async def test_programs_without_a_loop_answer_too(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    links: list[ApprovalLink] = []

    @jobs.task(on=Asked, retry=ONCE)
    def handler(event: Asked, ctx: Context) -> bool:
        links.append(ctx.sync.approval_link(Decided, "payout_id", expires=60))
        return bool(ctx.sync.wait_for(Decided, "payout_id").approved)

    await jobs.send(Asked(tenant_id="acme"))
    await jobs_harness.drain()
    jobs.events.add(Decided)

    def program() -> list[str]:
        assert jobs.sync.approval(links[0].token).fields == {"payout_id": "p1"}
        return [jobs.sync.approve(links[0].token, approved=True).status for _ in range(2)]

    assert await asyncio.to_thread(program) == ["accepted", "duplicate"]
    await jobs_harness.drain()
    assert (await only_run(jobs_harness)).result is True


@pytest.mark.parametrize(
    ("event", "options", "error", "message"),
    [
        (Decided, {"match": "order_id"}, InvalidEvent, "has no field 'order_id'"),
        (Decided, {"match": {"colour": "red"}}, InvalidEvent, "'colour' is none of its fields"),
        (Decided, {"match": {"approved": "yes"}}, InvalidEvent, "never has this value"),
        (Decided, {"match": {"payout_id": "x" * 2_000}}, InvalidEvent, "at most 1,000"),
        (Decided, {"match": {"password": "hunter2"}}, InvalidEvent, "'password' is secret"),
        (Decided, {"expires": 0}, InvalidEvent, "more than 0 seconds, at most 366 days"),
        (Decided, {"expires": timedelta(days=367)}, InvalidEvent, "at most 366 days"),
        (Decided, {"name": "n" * 101}, InvalidEvent, "1 to 100 characters"),
        ("approvals.nothing", {}, UnknownEvent, "approvals.nothing"),
        (Event, {}, InvalidEvent, "has no event name"),
    ],
)
async def test_bad_links_are_refused_when_they_are_made(
    jobs: Jobs, jobs_harness: JobsHarness, event: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    found: list[Exception] = []

    @jobs.task(on=Asked, retry=ONCE)
    async def handler(event_: Asked, ctx: Context) -> None:
        try:
            ctx.approval_link(event, **{"expires": 60, **options})
        except Exception as refusal:
            found.append(refusal)

    await jobs.send(Asked(tenant_id="acme"))
    await jobs_harness.drain()
    assert [type(refusal) for refusal in found] == [error]
    assert message in str(found[0])
    assert "hunter2" not in str(found[0])


async def test_without_key_or_address_the_missing_setting_is_named(
    jobs: Jobs, jobs_harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await ask(jobs, jobs_harness)
    monkeypatch.delenv("JOBS_PUBLIC_URL")
    monkeypatch.delenv("JOBS_SIGNING_KEY")
    bare = Jobs(provider=jobs.provider, clock=jobs_harness.clock)
    with pytest.raises(NotConfigured, match="need JOBS_SIGNING_KEY"):
        await bare.approve(link.token, approved=True)
    with pytest.raises(NotConfigured, match="needs JOBS_PUBLIC_URL"):
        assert ApprovalLink(link.token, link.expires_at, None).url


async def test_the_installation_itself_asks_nobody(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.cron("0 * * * *", tenants="platform", retry=ONCE)
    async def hourly(tick: Tick, ctx: Context) -> None:
        ctx.approval_link(Decided, expires=60)

    jobs_harness.clock.advance(3_600)
    await jobs_harness.drain()
    with across_tenants(reason="a test"):
        (run,) = await jobs.runs.list()
    assert str(run.error).startswith("Unsupported: ctx.approval_link is not supported by a run of the installation")
