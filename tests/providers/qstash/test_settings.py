"""What QStash needs to be told, and what health says of it."""

from __future__ import annotations

import re
import sys

import pytest
from tests.providers.qstash.conftest import Started
from tests.providers.qstash.harness import Ledger, make_wakeup, provider_of

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.capabilities import QSTASH
from cgk_jobs.providers.provider import JobProvider
from cgk_jobs.providers.qstash.provider import QStashProvider
from cgk_jobs.providers.qstash.settings import OPTIONS, SETUP
from cgk_jobs.settings import VARIABLES
from cgk_jobs.testing.peers.qstash import QStashPeer

TOKEN = "eyJVc2VySUQiOiJhLXVzZXIiLCJQYXNzd29yZCI6ImEtcGFzc3dvcmQifQ=="
CURRENT, NEXT = "sig_5c0ff00d5c0ff00d5c0ff00d0001", "sig_5c0ff00d5c0ff00d5c0ff00d0002"
GOOD = {
    "QSTASH_TOKEN": TOKEN,
    "QSTASH_CURRENT_SIGNING_KEY": CURRENT,
    "QSTASH_NEXT_SIGNING_KEY": NEXT,
    "JOBS_PUBLIC_URL": "https://shop.example/jobs",
}
DEVELOPMENT = {
    "QSTASH_CURRENT_SIGNING_KEY": "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r",
    "QSTASH_NEXT_SIGNING_KEY": "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs",
}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_missing_is_named_with_its_remedy(name: str) -> None:
    for value in (None, ""):
        values = {**GOOD, name: value} if value is not None else {key: GOOD[key] for key in GOOD if key != name}
        with pytest.raises(NotConfigured, match=name) as caught:
            QStashProvider.from_settings(values)
        assert "https://console.upstash.com/qstash" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QSTASH_TOKEN", "short"),
        ("QSTASH_TOKEN", "Bearer " + TOKEN),
        ("QSTASH_TOKEN", TOKEN + "\n" + TOKEN),
        ("QSTASH_TOKEN", f'"{TOKEN}"'),
        ("QSTASH_CURRENT_SIGNING_KEY", TOKEN),
        ("QSTASH_CURRENT_SIGNING_KEY", "sig_short"),
        ("QSTASH_NEXT_SIGNING_KEY", "sig_" + "é" * 28),
        ("QSTASH_URL", "qstash.upstash.io"),
        ("QSTASH_URL", "http://qstash.upstash.io"),
        ("QSTASH_URL", f"https://user:{TOKEN}@qstash.upstash.io"),
        ("JOBS_PUBLIC_URL", "shop.example"),
        ("JOBS_PUBLIC_URL", "http://shop.example/jobs"),
        ("JOBS_PUBLIC_URL", "https://shop.example/jobs?key=1"),
        ("JOBS_PUBLIC_URL", "https://shop.example/jo bs"),
        ("JOBS_PUBLIC_URL", "https://shop.example/jobs#x"),
        ("JOBS_PUBLIC_URL", "http://localhost:8000"),
        ("JOBS_PUBLIC_URL", "https://["),
    ],
)
def test_what_can_not_be_right_is_named_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(NotConfigured, match=name) as caught:
        QStashProvider.from_settings({**GOOD, name: value})
    assert value not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_the_keys_that_everybody_knows_are_for_the_development_server_alone() -> None:
    with pytest.raises(NotConfigured, match="development server"):
        QStashProvider.from_settings({**GOOD, **DEVELOPMENT})
    local = {"QSTASH_URL": "http://127.0.0.1:8080", "JOBS_PUBLIC_URL": "http://localhost:8000/jobs"}
    QStashProvider.from_settings({**GOOD, **DEVELOPMENT, **local})


def test_slashes_and_spaces_at_the_ends_do_no_harm() -> None:
    provider = QStashProvider.from_settings(
        {
            **GOOD,
            "JOBS_PUBLIC_URL": " https://shop.example/jobs/ ",
            "QSTASH_URL": "https://qstash-eu-central-1.upstash.io/",
        }
    )
    assert repr(provider) == "QStashProvider(https://qstash-eu-central-1.upstash.io -> https://shop.example/jobs)"


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"request_limit": 0},
        {"drain_seconds": 0.0},
        {"drain_seconds": 60.0, "request_limit": 30},
        {"parallelism": 0},
        {"tenant_parallelism": 0},
    ],
)
def test_numbers_that_make_no_sense(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        QStashProvider.from_settings(GOOD, **options)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_options_of_the_environment(name: str) -> None:
    QStashProvider.from_settings({**GOOD, name: "1"}, **({"drain_seconds": 0.5} if "LIMIT" in name else {}))
    for text in ("-1", "x", "1.5", "1e3", "٣", "9999999"):
        with pytest.raises(NotConfigured, match=name):
            QStashProvider.from_settings({**GOOD, name: text})


def test_the_settings_of_an_application_know_every_variable() -> None:
    assert {*OPTIONS, *(key.variable for key in SETUP.keys)} <= set(VARIABLES)


def test_the_forms_it_asks_for_are_those_it_takes() -> None:
    for key in SETUP.keys:
        if key.variable in GOOD:
            assert re.fullmatch(key.pattern, GOOD[key.variable])
        assert key.secret == (key.variable != "QSTASH_URL")
    assert SETUP.needs_public_url
    assert {key.variable for key in SETUP.keys if key.required} == set(GOOD) - {"JOBS_PUBLIC_URL"}


def test_it_is_a_provider() -> None:
    provider: JobProvider = QStashProvider.from_settings(GOOD)
    ledger = Ledger()
    assert (provider.name, provider.capabilities, provider.setup()) == ("qstash", QSTASH, SETUP)
    assert provider.work(ledger.deliver, ledger.drain, queues=["default"], concurrency=1) is None
    assert set(provider.routes(ledger.deliver, ledger.drain)) == {
        "/providers/qstash",
        "/providers/qstash/failed",
        "/providers/qstash/clock",
    }
    for secret in (TOKEN, CURRENT, NEXT):
        assert secret not in repr(provider)


async def test_without_httpx_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(NotConfigured, match=r"pip install 'cgk-jobs\[qstash\]'"):
        await QStashProvider.from_settings(GOOD).dispatch([make_wakeup()])


async def test_health_knows_the_keys(peer: QStashPeer, application: Started) -> None:
    provider = application()
    assert (await provider.health()).ok
    peer.rotate()
    rotated = await provider.health()
    assert rotated.ok
    assert any("rotated" in warning for warning in rotated.warnings)
    peer.rotate()
    lost = await provider.health()
    assert not lost.ok
    assert "every call is refused" in lost.reason
    for secret in (peer.current_signing_key, peer.next_signing_key, peer.token):
        assert secret not in str(lost) + str(rotated)


@pytest.mark.parametrize(("fault", "ok"), [("garbled", False), ("limited", True), ("broken", True)])
async def test_health_raises_nothing(peer: QStashPeer, application: Started, fault: str, ok: bool) -> None:
    setattr(peer.faults, fault, 1)
    assert (await application().health()).ok == ok


async def test_a_service_that_is_gone_is_not_well(peer: QStashPeer) -> None:
    provider = provider_of(peer.environment("http://127.0.0.1:1/jobs") | {"QSTASH_URL": "http://127.0.0.1:1"})
    health = await provider.health()
    await provider.close()
    assert not health.ok
    assert "can't be reached" in health.reason
