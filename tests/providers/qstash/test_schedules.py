"""The service's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.providers.qstash.conftest import Started
from tests.providers.qstash.harness import MOUNT, Ledger, Mounted, provider_of

from cgk_jobs.errors import NotConfigured, ProviderUnavailable, Unsupported
from cgk_jobs.providers.provider import Plan, PlannedTask, PlannedTick
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.peers.loopback import Loopback
from cgk_jobs.testing.peers.qstash import QStashPeer

TICKS = (
    PlannedTick("nightly", "30 2 * * *", "America/New_York"),
    PlannedTick("hourly", "15 * * * *", "Europe/Berlin"),
)


def plan(*, app: str = "shop", ticks: tuple[PlannedTick, ...] = TICKS, **fields: Any) -> Plan:
    return Plan(app, [PlannedTask("sync_order", "default", 30.0, 3)], ticks, **fields)


def crons(peer: QStashPeer) -> set[str]:
    return {schedule.text for schedule in peer.schedules.values()}


async def test_one_clock_that_is_told_once(peer: QStashPeer, application: Started) -> None:
    provider = application()
    [line] = await provider.sync(plan())
    assert line.endswith("CRON_TZ=UTC * * * * *")
    [schedule] = peer.schedules.values()
    assert schedule.message.url.endswith("/jobs/providers/qstash/clock")
    assert await provider.sync(plan()) == []
    assert len(peer.schedules) == 1


@pytest.mark.parametrize(
    ("every", "cron"),
    [
        (1, "* * * * *"),
        (60, "* * * * *"),
        (300, "*/5 * * * *"),
        (420, "*/6 * * * *"),
        (3_600, "0 * * * *"),
        (9e9, "0 * * * *"),
    ],
)
async def test_as_often_as_the_plan_says(peer: QStashPeer, application: Started, every: float, cron: str) -> None:
    await application().sync(plan(ring_every=every))
    assert crons(peer) == {f"CRON_TZ=UTC {cron}"}


async def test_a_change_is_told_and_nothing_else(peer: QStashPeer, application: Started) -> None:
    provider = application()
    await provider.sync(plan())
    [line] = await provider.sync(plan(ring_every=300.0))
    assert line.endswith("CRON_TZ=UTC */5 * * * * (changed)")
    assert crons(peer) == {"CRON_TZ=UTC */5 * * * *"}


async def test_a_schedule_for_each_if_wished(peer: QStashPeer, application: Started) -> None:
    provider = application(schedule_each=True)
    assert len(await provider.sync(plan())) == 3
    assert crons(peer) == {
        "CRON_TZ=America/New_York 30 2 * * *",
        "CRON_TZ=Europe/Berlin 15 * * * *",
        "CRON_TZ=UTC */5 * * * *",
    }
    assert {schedule.message.url for schedule in peer.schedules.values()} == {
        schedule.message.url for schedule in peer.schedules.values() if schedule.message.url.endswith("/clock")
    }
    assert await provider.sync(plan()) == []
    [line] = await provider.sync(plan(ticks=TICKS[:1]))
    assert line.endswith("removed")
    assert len(peer.schedules) == 2


async def test_other_applications_are_left_alone(peer: QStashPeer, application: Started) -> None:
    provider = application()
    await provider.sync(plan(app="one", ticks=()))
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {peer.token}"}, trust_env=False) as theirs:
        for destination in ("https://other.example/x", "https://other.example/jobs/providers/qstash/clock"):
            answer = await theirs.post(f"{peer.url}/v2/schedules/{destination}", headers={"upstash-cron": "0 4 * * *"})
            assert answer.status_code == 201
    await provider.sync(plan(app="two"))
    assert len(peer.schedules) == 4
    await provider.sync(plan(app="two", ring_every=300.0))
    assert len(peer.schedules) == 4


@pytest.mark.parametrize("patch_only", [True, False])
async def test_a_paused_clock_is_a_warning_and_is_resumed(
    peer: QStashPeer, application: Started, patch_only: bool
) -> None:
    peer.faults.patch_only = patch_only
    provider = application(app="shop")
    assert "no clock" in (await provider.health()).warnings[0]
    await provider.sync(plan())
    assert (await provider.health()).warnings == ()
    [schedule] = peer.schedules.values()
    schedule.paused = True
    assert "paused" in (await provider.health()).warnings[0]
    [line] = await provider.sync(plan())
    assert line.endswith("resumed")
    assert not schedule.paused


async def test_a_task_that_takes_longer_than_a_call(application: Started, peer: QStashPeer) -> None:
    long = Plan("shop", [PlannedTask("report", "default", 901.0, 3)], [])
    with pytest.raises(Unsupported, match="timeout=901 of task 'report'"):
        await application().sync(long)
    assert peer.schedules == {}
    await application(request_limit=900).sync(plan())


async def test_more_schedules_than_the_plan_has(application: Started, peer: QStashPeer) -> None:
    peer.limits.schedules = 2
    with pytest.raises(Unsupported, match="JOBS_QSTASH_SCHEDULE_EACH"):
        await application(schedule_each=True).sync(plan())
    assert len(peer.schedules) == 2


async def test_another_public_address_than_the_plans(application: Started, peer: QStashPeer) -> None:
    with pytest.raises(NotConfigured, match="JOBS_PUBLIC_URL"):
        await application().sync(plan(public_url="https://else.example/jobs"))
    assert peer.schedules == {}


@pytest.mark.parametrize("fault", ["broken", "broken_after", "limited"])
async def test_told_in_spite_of_a_failure(peer: QStashPeer, application: Started, fault: str) -> None:
    setattr(peer.faults, fault, 1)
    await application().sync(plan())
    assert len(peer.schedules) == 1


async def test_an_answer_not_understood_is_an_error(peer: QStashPeer, application: Started) -> None:
    peer.faults.garbled = 1
    with pytest.raises(ProviderUnavailable, match="something unknown"):
        await application().sync(plan())


async def test_the_clock_rings_in_its_time_zone() -> None:
    clock = TestClock(datetime(2026, 11, 25, tzinfo=UTC))
    ledger, mounted = Ledger(), Mounted()
    async with QStashPeer(clock=clock) as peer, Loopback(mounted) as server:
        provider = provider_of(peer.environment(server.url + MOUNT), clock=clock, schedule_each=True)
        mounted.routes = provider.routes(ledger.deliver, ledger.drain)
        await provider.sync(plan(ticks=TICKS[:1], ring_every=3_600.0))
        for hours, rings in ((7, 7), (1, 9), (23, 32), (1, 34)):
            for _ in range(hours):
                clock.advance(3_600)
                await peer.settled()
            assert len(ledger.drained) == rings
        await provider.close()
